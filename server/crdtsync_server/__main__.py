"""``python -m crdtsync_server`` is the relay's command line."""

from crdtsync_server.cli import main

main(prog_name="crdtsync-relay")
