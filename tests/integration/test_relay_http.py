"""The relay's port as the network sees it: real sockets, an application that only echoes."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
from contextlib import asynccontextmanager

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from crdtsync.errors import CannotListen, UsageError
from crdtsync_server.config import RelayConfig
from crdtsync_server.serving.app import Health, create_app
from crdtsync_server.serving.door import LISTEN, PIECES_MAX, PROVED, READ, STAY, WRITE
from crdtsync_server.serving.metrics import RelayMetrics
from crdtsync_server.serving.server import listen, make_server

pytestmark = pytest.mark.timeout(30)

UPGRADE = (
    b"GET /v1/sync HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING = b"\x89\xfd" + bytes(4 + 125)
"""As long as a ping may be, masked with zeros."""


class EchoRelay:
    """Answers every frame with itself."""

    def __init__(self):
        self.metrics = RelayMetrics()
        self.present = Health(store_writable=True, last_commit_age_s=0.5, disk_free_mb=4000)
        self.is_stopped = False
        self.close_codes = []

    async def start(self):
        pass

    async def stop(self):
        self.is_stopped = True

    async def serve_socket(self, websocket):
        has_proved = websocket.scope["extensions"][PROVED]  # Who has proved it has no scope any more.
        try:
            while True:
                frame = await websocket.receive_bytes()
                if frame == b"proof":
                    has_proved()
                await websocket.send_bytes(frame)
        except WebSocketDisconnect as end:
            self.close_codes.append(end.code)

    def health(self):
        return self.present


class Served:
    def __init__(self, relay, server, port):
        self.relay = relay
        self.server = server
        self.port = port
        self.turned_away = relay.metrics.connections_turned_away

    def url(self, scheme, path):
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    async def get(self, path):
        async with httpx.AsyncClient() as client:
            return await client.get(self.url("http", path))

    def sync(self, **options):
        return connect(self.url("ws", "/v1/sync"), compression=None, proxy=None, **options)


@asynccontextmanager
async def serving(tmp_path, relay=None, **settings):
    relay, config = relay or EchoRelay(), RelayConfig(data=tmp_path, port=0, **settings)
    ready = asyncio.Event()
    server = make_server(create_app(relay), config, relay.metrics, ready.set)
    listener = listen(config.host, config.port)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await ready.wait()
    try:
        yield Served(relay, server, listener.getsockname()[1])
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def silent(served):
    """A connection that says nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def is_cut_off(reader):
    """Waits for the other end to let go."""
    try:
        return await reader.read() == b""
    except ConnectionResetError:
        return True


async def test_a_healthy_relay_says_so_with_200(tmp_path):
    async with serving(tmp_path) as served:
        answer = await served.get("/healthz")
    facts = answer.json()
    assert facts.pop("version")
    assert (answer.status_code, facts) == (
        200,
        {"ok": True, "store_writable": True, "last_commit_age_s": 0.5, "disk_free_mb": 4000, "problem": ""},
    )


async def test_a_relay_that_cannot_store_says_so_with_503_and_why(tmp_path):
    async with serving(tmp_path) as served:
        served.relay.present = Health(False, None, 0, "the disk is full")
        answer = await served.get("/healthz")
    assert (answer.status_code, answer.json()["problem"]) == (503, "the disk is full")


async def test_metrics_count_the_devices_that_are_connected(tmp_path):
    async with serving(tmp_path) as served, served.sync() as device:
        await device.send(b"sale")
        await device.recv()
        lines = (await served.get("/metrics")).text.splitlines()
    assert "crdtsync_relay_connections 1.0" in lines


async def test_the_front_page_says_how_to_join(tmp_path):
    async with serving(tmp_path) as served:
        page = await served.get("/")
    assert f"crdtsync join ws://127.0.0.1:{served.port} CODE" in page.text


@pytest.mark.slow
async def test_a_frame_of_64_mb_is_refused(tmp_path):
    async with serving(tmp_path) as served, served.sync(max_size=None) as device:
        with pytest.raises(ConnectionClosed) as closed:
            await device.send(bytes(64 << 20))
            await device.recv()
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1009
    assert served.relay.close_codes == [1009]


async def test_a_frame_of_the_protocols_size_passes(tmp_path):
    async with serving(tmp_path) as served, served.sync(max_size=None) as device:
        await device.send(bytes(1 << 20))
        assert len(await device.recv()) == 1 << 20


async def test_a_connection_that_says_nothing_is_cut_off(tmp_path):
    async with serving(tmp_path, request_timeout_s=0.05) as served, silent(served) as (reader, _):
        assert await is_cut_off(reader)


async def test_a_request_that_drips_in_is_cut_off(tmp_path):
    async with serving(tmp_path, request_timeout_s=0.05) as served, silent(served) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: relay\r\nX-")
        await writer.drain()
        assert await is_cut_off(reader)


async def test_a_body_that_never_ends_is_cut_off(tmp_path):
    async with serving(tmp_path, request_timeout_s=0.05) as served, silent(served) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 1000\r\n\r\nx")
        await is_cut_off(reader)
    assert served.turned_away.labels("silent-too-long")._value.get() == 1


async def test_a_flood_of_silent_connections_does_not_shut_out_a_register(tmp_path):
    async with serving(tmp_path, silent_connections_max=3, request_timeout_s=3600) as served:
        flood = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(8)]
        async with served.sync() as device:
            await device.send(b"sale")
            assert await device.recv() == b"sale"
            assert all([await is_cut_off(reader) for reader, _ in flood[:5]])
        for _, writer in flood:
            writer.close()


async def prove(device):
    await device.send(b"proof")
    assert await device.recv() == b"proof"


async def test_one_device_too_many_is_told_to_come_back(tmp_path):
    async with serving(tmp_path, connections_max=1) as served, served.sync() as device:
        await prove(device)
        with pytest.raises(InvalidStatus) as refused:
            await served.sync()
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["retry-after"] == "5"


async def test_a_flood_of_strangers_does_not_shut_out_a_register(tmp_path):
    async with serving(tmp_path, connections_max=3) as served, served.sync() as known:
        await prove(known)
        strangers = [await served.sync() for _ in range(6)]
        async with served.sync() as device:
            await prove(device)
            await prove(known)
        for stranger in strangers[:5]:
            await stranger.wait_closed()
        await strangers[5].close()
    assert served.turned_away.labels("stranger-too-many")._value.get() == 5


async def test_health_is_answered_when_no_more_devices_are_taken(tmp_path):
    async with serving(tmp_path, connections_max=1) as served, served.sync() as device:
        await prove(device)
        assert (await served.get("/healthz")).status_code == 200


async def test_a_message_in_endless_pieces_is_cut_off(tmp_path):
    async with serving(tmp_path) as served, served.sync() as device:
        with pytest.raises(ConnectionClosed):
            await device.send(b"" for _ in range(PIECES_MAX + 100))
            await device.recv()
    assert served.turned_away.labels("too-many-pieces")._value.get() == 1


@pytest.mark.slow
async def test_pings_whose_answers_nobody_reads_are_cut_off(tmp_path):
    async with serving(tmp_path) as served, silent(served) as (reader, writer):
        writer.write(UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()
        with pytest.raises(ConnectionError):
            for _ in range(200_000):
                writer.write(PING)
                await writer.drain()
    assert served.turned_away.labels("reads-nothing")._value.get() == 1


async def test_a_device_that_left_makes_room_for_another(tmp_path):
    async with serving(tmp_path, connections_max=1) as served:
        for _ in range(3):
            async with served.sync() as device:
                await device.send(b"sale")
                assert await device.recv() == b"sale"


async def test_a_graceful_stop_tells_devices_to_come_back(tmp_path):
    async with serving(tmp_path) as served:
        device = await served.sync()
        served.server.should_exit = True
        await device.wait_closed()
    assert device.close_code == 1012
    assert served.relay.is_stopped


async def test_a_second_relay_on_the_same_port_is_told_where_and_what_to_do(tmp_path):
    async with serving(tmp_path) as served:
        with pytest.raises(CannotListen, match=f"port {served.port}: Address already in use"):
            listen("127.0.0.1", served.port)


async def test_a_frame_does_not_wait_until_the_one_before_it_has_been_acknowledged():
    accepted = asyncio.get_running_loop().create_future()

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport):
            accepted.set_result(transport)

    server = await asyncio.get_running_loop().create_server(Accepted, sock=listen("127.0.0.1", 0))
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        transport = await accepted
        no_delay = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        transport.close()
        writer.close()
    assert no_delay


def test_a_name_that_is_no_address_is_told():
    with pytest.raises(CannotListen, match="no address of this machine"):
        listen("no.such.host.invalid", 0)


# -- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "relay")])
    begin = datetime.datetime(2020, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=36_500))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return {"tls_cert": folder / "cert.pem", "tls_key": folder / "key.pem"}


async def test_devices_connect_over_tls(tmp_path, tls):
    trust = ssl.create_default_context(cafile=str(tls["tls_cert"]))
    async with serving(tmp_path, **tls) as served:
        url = served.url("wss", "/v1/sync")
        async with connect(url, ssl=trust, compression=None, proxy=None) as device:
            await device.send(b"sale")
            assert await device.recv() == b"sale"


async def test_a_tls_handshake_that_never_begins_is_cut_off(tmp_path, tls):
    settings = {**tls, "request_timeout_s": 0.05}
    async with serving(tmp_path, **settings) as served, silent(served) as (reader, _):
        assert await is_cut_off(reader)


def test_tls_files_that_are_none_are_told_before_anything_is_served(tmp_path):
    broken = tmp_path / "cert.pem"
    broken.write_text("no certificate")
    config = RelayConfig(data=tmp_path, tls_cert=broken, tls_key=broken)
    relay = EchoRelay()
    with pytest.raises(UsageError, match=r"the TLS certificate .* cannot be used"):
        make_server(create_app(relay), config, relay.metrics, lambda: None)


class StayingRelay(EchoRelay):
    """Answers every frame with itself, once, without a task that waits with each connection."""

    async def serve_socket(self, websocket):
        told = websocket.scope["extensions"]
        told[STAY]()
        told[LISTEN](lambda: self._answer(told[READ], told[WRITE]))
        told[PROVED]()
        self.left = websocket
        self.socket = told[PROVED].__self__
        return True

    def _answer(self, read, write):
        while (message := read()) is not None:
            if message["type"] == "websocket.receive":
                write([message["bytes"]])
            else:
                self.close_codes.append(message["code"])


async def test_an_application_may_keep_a_connection_without_a_task(tmp_path):
    async with serving(tmp_path, relay=StayingRelay()) as served:
        async with served.sync() as device:
            for sale in (b"one", b"two"):
                await device.send(sale)
                assert await device.recv() == sale
            assert served.server.server_state.tasks == set()
        async with served.sync() as device:
            await device.send(b"three")
            assert await device.recv() == b"three"
            await served.relay.left.close(4400, "that is enough")
            with pytest.raises(ConnectionClosed) as closed:
                await device.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4400, "that is enough")
    assert served.relay.close_codes[0] == 1000


async def test_what_is_kept_of_a_connection_is_in_slots(tmp_path):
    """With one attribute outside of them Python makes a dictionary for each; uvicorn may have new ones."""
    async with serving(tmp_path, relay=StayingRelay()) as served, served.sync() as device:
        await device.send(b"one")
        assert await device.recv() == b"one"
        assert vars(served.relay.socket) == {}
        assert served.relay.socket.scope == {}
