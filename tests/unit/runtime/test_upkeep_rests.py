"""While a past comes in nothing else is done, but not for as long as somebody likes to go on sending one."""

from types import SimpleNamespace

from crdtsync.runtime.committing.upkeep import BULK_ROWS, RESTS_MAX, UpkeepThread


class BehindForEver:
    """Upkeep that is far behind, whatever it does; after three steps the thread is told to stop."""

    is_far_behind = True
    waits_for_quiet = False

    def __init__(self, thread):
        self.thread, self.steps, self.rests_before = thread, 0, []

    def grew(self, growth):
        pass

    def step(self, *, is_quiet):
        self.steps += 1
        self.rests_before.append(self.thread.rests)
        self.thread._stopping = self.steps == 3
        return True

    def save(self):
        pass


class Restless(UpkeepThread):
    """Instead of resting it hears that another pack has come."""

    rests = 0

    def _pause(self, seconds):
        self.rests += 1
        self.grew(SimpleNamespace(rows=[None] * BULK_ROWS))


def test_who_goes_on_sending_a_past_keeps_no_signature_unchecked():
    thread = Restless(lambda: None, lambda *_: None)
    upkeep = BehindForEver(thread)
    thread._work(upkeep)
    first = RESTS_MAX + 1  # One before it began.
    assert upkeep.rests_before == [first, first + 1, first + 2]
