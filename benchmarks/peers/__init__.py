"""Other CRDT servers beside the product's relay, on the same work in the same run: `make bench-peers`.

Their packages are installed by name into a temporary folder; nothing of theirs is in this repository.
See ``docs/how-to/compare-with-peers.md``.
"""
