"""What commands print commands no terminal."""

from crdtsync.cli.output import NO_BREAK_SPACE, print_table


def test_no_cell_of_a_table_commands_a_terminal(capsys):
    """The number of a ticket that a stolen register made may hold anything."""
    print_table(["number", "amount"], [["\x1b[2J\x9b31m01\u202e-1", f"18,50{NO_BREAK_SPACE}€"]])
    _, row = capsys.readouterr().out.splitlines()
    assert row == f" [2J 31m01 -1  18,50{NO_BREAK_SPACE}€"
