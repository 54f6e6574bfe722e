"""The pair of the test kit: real registers, relay and sockets, and lines that fail."""

from pathlib import Path

import pytest
from pycrdt import Map

from crdtsync.errors import LinkClosed, NotSynchronised, UsageError
from crdtsync.testing.pair import Pair, socket_pair


@pytest.fixture
async def pair(tmp_path: Path):
    async with Pair(tmp_path) as pair:
        yield pair


async def test_what_one_register_sells_the_other_shows(pair: Pair) -> None:
    number = pair.a.sell(["VIN"], ["card"]).number
    await pair.in_step()
    assert [row.number for row in pair.b.sales()] == [number]


async def test_a_register_whose_line_is_cut_catches_up_when_it_heals(pair: Pair) -> None:
    pair.line_b.cut()
    pair.a.sell(["VIN"], ["card"])
    pair.b.sell(["VIN"], ["card"])
    with pytest.raises(NotSynchronised):
        await pair.in_step(timeout_s=0.1)
    pair.line_b.heal()
    await pair.in_step()
    assert len(pair.a.sales()) == len(pair.b.sales()) == 2


async def test_frames_in_small_pieces_come_whole(pair: Pair) -> None:
    pair.line_a.split(7)
    pair.a.sell(["VIN"], ["card"])
    await pair.in_step()
    assert len(pair.b.sales()) == 1


async def test_a_document_of_ones_own_is_the_same_at_both_ends(pair: Pair) -> None:
    pair.line_b.cut()
    for register in pair.registers:
        with register.document("x/notes").transaction() as doc:
            doc.get("root", type=Map)[register.identity.device_name] = "here"
    assert not pair.is_in_step()
    pair.line_b.heal()
    await pair.in_step()
    contents = [register.document("x/notes").doc.get("root", type=Map).to_py() for register in pair.registers]
    assert contents == [{"Caisse 1": "here", "Caisse 2": "here"}] * 2


def test_it_serves_code_without_a_loop_as_well(tmp_path: Path) -> None:
    with Pair(tmp_path) as pair:
        pair.b.sell(["VIN"], ["cash"])
        pair.settle()
        assert len(pair.a.sales()) == 1
        with pytest.raises(NotSynchronised):
            pair.a.sell(["VIN"], ["card"])
            pair.line_a.cut()
            pair.b.sell(["VIN"], ["card"])
            pair.settle(timeout_s=0)


def test_after_a_pair_nothing_runs(tmp_path: Path) -> None:
    with Pair(tmp_path) as pair:
        pass
    for address in (lambda: pair.relay.url, lambda: pair.line_a.url):
        with pytest.raises(UsageError):
            address()


async def test_two_ends_of_a_socket_hear_one_another_and_the_end() -> None:
    async with socket_pair() as (near, far):
        await near.send(b"hello")
        await far.send(b"and to you")
        assert (await far.receive(), await near.receive()) == (b"hello", b"and to you")
        await far.close(4403, "go away")
        with pytest.raises(LinkClosed) as closed:
            await near.receive()
    assert closed.value.code == 4403
