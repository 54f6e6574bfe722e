"""Business days filed in memory, while the views on disk are far behind."""

from contextlib import closing

import pytest

from crdtsync.runtime.filing.day_views import DayViews
from crdtsync.storage.view_queries import ViewQueries
from crdtsync.testing.clock import DAY_MS


@pytest.fixture
def days(till, clock):
    """Two tickets on each of six days; their numbers, the newest first."""
    numbers = []
    for _ in range(6):
        numbers += [till.sell(["CM-19"], ["card"]).number for _ in range(2)]
        clock.pass_ms(DAY_MS)
    return numbers[::-1]


@pytest.mark.parametrize("rows_max", [1, 2, 3, 12, 100])
def test_the_newest_tickets_come_first_from_as_many_days_as_it_takes(till, days, rows_max):
    with closing(DayViews(till.replica.log)) as views:
        found = views.newest_tickets(device=None, older_than=None, rows_max=rows_max)
        assert [row.number for row in found] == days[:rows_max]
        assert len(views._days) == min(6, (rows_max + 1) // 2)


def test_they_go_on_where_the_list_before_ended(till, days):
    with closing(DayViews(till.replica.log)) as views:
        first = views.newest_tickets(device=None, older_than=None, rows_max=3)
    with closing(DayViews(till.replica.log)) as views:
        rest = views.newest_tickets(device=till.identity.device, older_than=first[-1], rows_max=100)
    assert [row.number for row in first + rest] == days


def test_each_ticket_is_read_once_however_many_days_it_takes(till, days, monkeypatch):
    read = []
    genuine = ViewQueries.tickets

    def counted(self, **asked):
        rows = genuine(self, **asked)
        read.extend(row.number for row in rows)
        return rows

    monkeypatch.setattr(ViewQueries, "tickets", counted)
    with closing(DayViews(till.replica.log)) as views:
        views.newest_tickets(device=None, older_than=None, rows_max=100)
    assert read == days
