"""The tickets of one register, however many others the shop has: what is shown is read, and nothing else."""

import pytest

from crdtsync.testing.clock import DAY_MS


@pytest.fixture
def days(till, clock):
    """Two tickets on each of six days."""
    for _ in range(6):
        for _ in range(2):
            till.sell(["CM-19"], ["card"])
        clock.pass_ms(DAY_MS)


def plan_of(queries, monkeypatch, **wanted):
    """How SQLite goes about the last question of a list."""
    asked, ask = [], queries.ask
    with monkeypatch.context() as patched:
        patched.setattr(
            type(queries), "ask", lambda _, sql, **values: asked.append((sql, values)) or ask(sql, **values)
        )
        rows = queries.tickets(**wanted)
    sql, values = asked[-1]
    return rows, [row[3] for row in ask(f"EXPLAIN QUERY PLAN {sql}", **values)]


def test_they_are_found_by_their_chain_and_come_in_order(till, days, monkeypatch):
    till.replica.views.catch_up()
    queries, device = till.replica.queries, till.identity.device
    rows, plan = plan_of(queries, monkeypatch, device=device, rows_max=2)
    assert any("view_ticket_by_chain" in step for step in plan)
    assert not any("TEMP B-TREE" in step or "view_ticket_by_day" in step for step in plan)
    every = [row for row in queries.tickets(rows_max=1000) if row.device == device]
    assert rows == every[:2]
    older, plan = plan_of(queries, monkeypatch, device=device, older_than=rows[-1], rows_max=1000)
    assert older == every[2:]
    assert not any("TEMP B-TREE" in step for step in plan)
    day = every[-1].day
    assert queries.tickets(device=device, day=day) == [row for row in every if row.day == day]
