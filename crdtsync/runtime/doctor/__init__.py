"""Why a register does not synchronise, and what to do: looked for from the disk outwards to the relay.

``examine`` asks the parts in that order. It needs no network, changes nothing, and is done within a second.
"""
