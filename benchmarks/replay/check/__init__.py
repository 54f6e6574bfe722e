"""The checker: a program of its own, which compares stores with the raw source.

It imports nothing of the product and nothing of the replay: it reads the stores with ``sqlite3`` by the
documented tables, takes packs and entries apart by itself, and sums the source with pandas.
"""
