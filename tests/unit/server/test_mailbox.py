"""What has come of a WebSocket: whoever listens is called once for all that a turn of the loop brought."""

import asyncio

from crdtsync_server.serving.mailbox import Mailbox


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
