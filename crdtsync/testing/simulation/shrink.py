"""Making a failing plan smaller: what can be left out while the same check fails is left out."""

from __future__ import annotations

from collections.abc import Callable

from crdtsync.testing.simulation.plan import Plan

Fails = Callable[[Plan], bool]
"""Whether a plan still fails in the same way."""

PLAYS_MAX = 400


def shrink(plan: Plan, fails: Fails, *, plays_max: int = PLAYS_MAX) -> Plan:
    """The smallest plan found, by leaving out ever smaller parts (delta debugging: Zeller and Hildebrandt,
    2002). ``fails`` is asked ``plays_max`` times at most. ``plan`` itself must fail.
    """
    return _Search(fails, plays_max).smallest(plan)


class _Search:
    def __init__(self, fails: Fails, plays_max: int) -> None:
        self._fails = fails
        self._left = plays_max

    def smallest(self, plan: Plan) -> Plan:
        size = max(1, len(plan.actions) // 2)
        while self._left > 0:
            smaller = self._without_a_part(plan, size)
            if smaller is not None:
                plan = smaller
                size = max(1, min(size, len(plan.actions) // 2))
            elif size == 1:
                return plan
            else:
                size = max(1, size // 2)
        return plan

    def _without_a_part(self, plan: Plan, size: int) -> Plan | None:
        """The plan without the last part of that size that can be left out."""
        actions = plan.actions
        for end in range(len(actions), 0, -size):
            kept = actions[: max(0, end - size)] + actions[end:]
            if self._left <= 0:
                return None
            self._left -= 1
            if kept != actions and self._fails(plan.without(kept)):
                return plan.without(kept)
        return None


def same_failure(check: str, play: Callable[[Plan], str]) -> Fails:
    """``play`` gives the name of the check that failed: the same one has to."""
    return lambda plan: play(plan) == check
