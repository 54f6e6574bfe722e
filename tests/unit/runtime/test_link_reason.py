"""What the other end says when it hangs up is shown to people, on terminals."""

import pytest
from websockets.asyncio.server import serve

from crdtsync.errors import LinkClosed
from crdtsync.runtime.syncing.link import open_link


async def test_a_reason_to_close_cannot_command_a_terminal():
    async def hang_up(socket):
        await socket.close(4403, "\x1b[2J\x1b]0;all is well\x07 go away \u202eyaw")

    async with serve(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        link = await open_link(f"ws://127.0.0.1:{port}")
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        await link.close(1000, "")
    assert closed.value.code == 4403
    assert "go away" in str(closed.value)
    assert str(closed.value).isprintable()
