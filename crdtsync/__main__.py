"""``python -m crdtsync`` is the command line."""

from crdtsync.cli import main

main()
