"""What has come of a WebSocket: whoever listens is called once for all that a turn of the loop brought."""

import asyncio

from crdtsync_server.serving.mailbox import Gate, Mailbox


def said(text):
    return {"type": "websocket.receive", "bytes": text}


async def test_whoever_listens_is_called_once_for_what_came_together():
    box, calls = Mailbox(asyncio.get_running_loop()), []
    box.listen(lambda: calls.append([box.get_nowait()["bytes"] for _ in iter(box.empty, True)]))
    for text in (b"one", b"two", b"three"):
        box.put_nowait(said(text))
    assert calls == []
    await asyncio.sleep(0)
    box.put_nowait(said(b"four"))
    await asyncio.sleep(0)
    assert calls == [[b"one", b"two", b"three"], [b"four"]]


async def test_what_came_before_somebody_listened_is_told():
    box, calls = Mailbox(asyncio.get_running_loop()), []
    box.put_nowait(said(b"one"))
    box.listen(lambda: calls.append(box.get_nowait()))
    await asyncio.sleep(0)
    assert calls == [said(b"one")]


async def test_who_waits_gets_the_oldest():
    box = Mailbox(asyncio.get_running_loop())
    waiting = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    box.put_nowait(said(b"one"))
    box.put_nowait(said(b"two"))
    assert [await waiting, await box.get()] == [said(b"one"), said(b"two")]
    assert box.empty()


async def test_who_was_interrupted_while_waiting_takes_nothing():
    box = Mailbox(asyncio.get_running_loop())
    waiting = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    box.put_nowait(said(b"one"))
    assert await box.get() == said(b"one")


async def test_who_waits_at_a_gate_goes_on_when_it_opens():
    gate, through = Gate(asyncio.get_running_loop()), []

    async def pass_through(name):
        await gate.wait()
        through.append(name)

    await pass_through("nobody waits at an open one")
    gate.clear()
    waiting = [asyncio.create_task(pass_through(name)) for name in ("one", "two", "gone")]
    await asyncio.sleep(0)
    waiting[2].cancel()
    await asyncio.sleep(0)
    assert not gate.is_set()
    assert through == ["nobody waits at an open one"]
    gate.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert gate.is_set()
    assert through == ["nobody waits at an open one", "one", "two"]


async def test_who_listens_is_called_at_once_for_all_that_one_read_brought():
    box, calls = Mailbox(asyncio.get_running_loop()), []

    def take_all():
        calls.append([])
        while not box.empty():
            calls[-1].append(box.get_nowait()["bytes"])

    box.listen(take_all)
    box.hold()
    for text in (b"one", b"two"):
        box.put_nowait(said(text))
    assert calls == []
    box.let_go()
    assert calls == [[b"one", b"two"]]
    await asyncio.sleep(0)
    box.let_go()
    await asyncio.sleep(0)
    assert calls == [[b"one", b"two"]], "there is nothing more"
    box.put_nowait(said(b"three"))
    await asyncio.sleep(0)
    assert calls == [[b"one", b"two"], [b"three"]]


async def test_what_came_before_somebody_listened_is_told_though_it_came_in_one_read():
    box, calls = Mailbox(asyncio.get_running_loop()), []
    box.hold()
    box.put_nowait(said(b"one"))
    box.let_go()
    box.listen(lambda: calls.append(box.get_nowait()))
    await asyncio.sleep(0)
    assert calls == [said(b"one")]
