"""The command line of a register: it parses, calls the library and prints.

``main`` is the entry point. Commands are imported when they are called, so that `crdtsync --help` and
`crdtsync status` do not pay for what they do not use.
"""

from crdtsync.cli.group import main

__all__ = ["main"]
