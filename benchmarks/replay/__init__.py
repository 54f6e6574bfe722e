"""Replay of a real store: a year of a grocer's sales, sold again on registers, through a relay, with faults.

See ``docs/how-to/replay-a-real-store.md`` for how the source's columns become entries.
"""
