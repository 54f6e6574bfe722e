import pycrdt
from pycrdt import Doc, Map

from crdtsync.protocol.causal import CausalOrder, in_causal_order
from crdtsync.protocol.scanner import scan_update


def scanned(update):
    return update, scan_update(update, roots=None)


def written(*steps, client_id=5, before=b"\0\0"):
    """The updates of one device that sets these keys, one after the other."""
    doc, updates = Doc(client_id=client_id), []
    doc.apply_update(before)
    items = doc.get("products", type=Map)
    subscription = doc.observe(lambda event: updates.append(event.update))
    for keys in steps:
        with doc.transaction():
            items.update(keys)
    doc.unobserve(subscription)
    return updates


FIRST, SECOND, THIRD = written({"a": "1"}, {"b": "2", "a": "3"}, {"c": "4"})


def test_what_comes_in_order_passes_at_once():
    order = CausalOrder()
    assert [order.take(*scanned(update)) for update in (FIRST, SECOND, THIRD)] == [[FIRST], [SECOND], [THIRD]]


def test_what_comes_early_waits_and_passes_behind_what_it_waited_for():
    order = CausalOrder()
    assert (order.take(*scanned(THIRD)), order.take(*scanned(SECOND)), order.waiting) == ([], [], 2)
    assert (order.take(*scanned(FIRST)), order.waiting) == ([FIRST, SECOND, THIRD], 0)


def test_an_overwrite_waits_for_the_other_device():
    [overwrite] = written({"a": "5"}, client_id=9, before=FIRST)
    assert in_causal_order([scanned(overwrite), scanned(FIRST)]) == ([FIRST, overwrite], 0)


def test_what_never_comes_is_counted():
    assert in_causal_order([scanned(THIRD), scanned(FIRST)]) == ([FIRST], 1)


def test_a_state_stands_for_the_updates_in_it():
    state = pycrdt.merge_updates(FIRST, SECOND)
    assert in_causal_order([scanned(THIRD), scanned(state)]) == ([state, THIRD], 0)


def test_what_was_passed_on_passes_again():
    assert in_causal_order([scanned(FIRST), scanned(FIRST)]) == ([FIRST, FIRST], 0)
