"""Synchronising: a connection, what drives it, when it is made again, what a person is told meanwhile."""
