"""The command line of the relay: it parses, calls the library and prints.

``main`` is the entry point. Commands are imported when they are called.
"""

from crdtsync_server.cli.group import main

__all__ = ["main"]
