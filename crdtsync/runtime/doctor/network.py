"""The way to the relay, one step after the other: its name, its address, TLS, and what answers there.

The relay is not spoken to as a register speaks to it: a second connection of the same register would take
the place of the one that synchronises. It is asked to prove its key over a number that nobody can guess.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlsplit

from crdtsync.errors import (
    InvalidName,
    RelayUnreachable,
    UnsupportedVersion,
    UsageError,
    WrongRelayKey,
)
from crdtsync.protocol.about import ABOUT_PURPOSE, NONCE_BYTES, About, about_payload
from crdtsync.protocol.limits import VERSION
from crdtsync.runtime.doctor.finding import Finding, notice, unknown, well, wrong
from crdtsync.runtime.folder.identity import Relay
from crdtsync.runtime.syncing.address import (
    ABOUT_PATH,
    is_without_tls,
    socket_url,
    trusting,
    what_mends,
    why,
)
from crdtsync.runtime.syncing.refusal import ANOTHER_RELAY

BUDGET_S: Final = 0.7
"""In so much time the way to the relay is looked at. What has not answered by then is told as that."""

SLOW_LINE_S: Final = 0.1
"""Where the connection alone took longer, a round trip does: TLS and the question need three or four, so that
what is not answered within ``BUDGET_S`` may well be on its way.
"""

GIVEN_UP_S: Final = 5.0
"""When a socket that nobody waits for any more is closed."""

ANSWER_BYTES_MAX: Final = 16 * 1024

_STEPS: Final = ("name", "address", "tls", "relay")
_BLOCKED: Final = {
    "name": "the name server does not answer",
    "address": "nothing answers there",
    "tls": "the greeting of TLS is not answered",
    "relay": "it takes the connection and says nothing, as a proxy or a firewall between may",
}


_SLOWLY: Final = {"tls": "TLS was not agreed upon", "relay": "what answers there has not said who it is"}

_Found = Finding | About | float | None
"""What the way brings: findings, what the relay says of itself, how long the connection took in seconds, and
None at its end.
"""


def look_at_relay(
    relay: Relay, tls_ca: str | None, told: Callable[[About], None], budget_s: float | None = None
) -> Iterator[Finding]:
    """Name, address, TLS and relay, as far as one gets within ``budget_s``, which is ``BUDGET_S`` unless
    given. ``told`` gets what the relay says of itself, if it does. Never raises.
    """
    budget_s = BUDGET_S if budget_s is None else budget_s
    findings: queue.SimpleQueue[_Found] = queue.SimpleQueue()
    threading.Thread(
        target=_walk, args=(relay, tls_ca, findings.put), name="doctor", daemon=True
    ).start()  # Looking up a name cannot be given up otherwise.
    ends_s = time.monotonic() + budget_s
    reached, connected_in_s = 0, 0.0
    while True:
        try:
            found = findings.get(timeout=max(0.001, ends_s - time.monotonic()))
        except queue.Empty:
            yield _blocked(relay, _STEPS[min(reached, len(_STEPS) - 1)], connected_in_s, budget_s)
            return
        if found is None:
            return
        if isinstance(found, float):
            connected_in_s = found
            continue
        if isinstance(found, About):
            told(found)
            continue
        if found.check in _STEPS:
            reached = _STEPS.index(found.check) + 1
        yield found


def _blocked(relay: Relay, step: str, connected_in_s: float, budget_s: float) -> Finding:
    if connected_in_s < SLOW_LINE_S:
        return wrong(step, RelayUnreachable(f"{relay.url}: {_BLOCKED[step]}, within {budget_s:g} s"))
    what = (
        f"the line is slow: the connection alone took {connected_in_s:.1f} s, "
        f"and {_SLOWLY[step]} within {budget_s:g} s"
    )
    return unknown(
        step, what, "`crdtsync sync` waits longer; `crdtsync status` says when the relay last confirmed"
    )


def _walk(relay: Relay, tls_ca: str | None, put: Callable[[_Found], None]) -> None:
    try:
        for found in _steps(relay, tls_ca):
            put(found)
    except Exception as error:  # Whatever it is, somebody waits for the end of the way.
        put(unknown("relay", f"it could not be looked at: {type(error).__name__}: {error}"))
    finally:
        put(None)


def _steps(relay: Relay, tls_ca: str | None) -> Iterator[Finding | About | float]:
    try:
        parts = urlsplit(socket_url(relay.url, ABOUT_PATH))
    except InvalidName as error:
        yield wrong("name", InvalidName(str(error), hint="enrol this register again, with the right address"))
        return
    host, secure = parts.hostname or "", parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        hint = "check the network cable or the Wi-Fi, and the name server; sales go on and are kept here"
        yield wrong("name", RelayUnreachable(f"the name {host} is not known ({error.strerror})", hint=hint))
        return
    yield well("name", f"{host} is {', '.join(sorted({str(place[4][0]) for place in places}))}")
    began_s = time.monotonic()
    connected = _connect(places)
    if isinstance(connected, OSError):
        hint = what_mends(connected, int(time.time() * 1000)) or _NOBODY
        yield wrong("address", RelayUnreachable(f"{host}, port {port}: {why(connected)}", hint=hint))
        return
    yield time.monotonic() - began_s
    yield well("address", f"something answers at port {port}")
    with connected:
        yield from _ask(connected, relay, parts.path, host, secure=secure, tls_ca=tls_ca)


_NOBODY: Final = "check that the relay runs (`crdtsync-relay serve`), and the firewall between"


def _connect(places: list[Any]) -> socket.socket | OSError:
    error: OSError = OSError("no address")
    for family, kind, protocol, _, address in places:
        found = socket.socket(family, kind, protocol)
        found.settimeout(GIVEN_UP_S)
        try:
            found.connect(address)
        except OSError as failed:
            found.close()
            error = failed
            continue
        return found
    return error


def _ask(
    connected: socket.socket, relay: Relay, path: str, host: str, *, secure: bool, tls_ca: str | None
) -> Iterator[Finding | About]:
    if not secure:
        yield unencrypted(str(connected.getpeername()[0]))
        yield from _greet(connected, relay, path, host)
        return
    try:
        wrapped = trusting(tls_ca).wrap_socket(connected, server_hostname=host)
    except UsageError as error:
        yield wrong("tls", error)
    except OSError as error:
        hint = what_mends(error, int(time.time() * 1000)) or _NOBODY
        if is_without_tls(error):
            hint = (
                "give the relay TLS; or, if the line is yours, `crdtsync move ws://HOST:PORT` to its address"
            )
        yield wrong("tls", RelayUnreachable(f"TLS: {why(error)}", hint=hint))
    else:
        with wrapped:
            yield well("tls", f"its certificate is trusted ({wrapped.version()})")
            yield from _greet(wrapped, relay, path, host)


def unencrypted(address: str) -> Finding:
    """What to say of a line without TLS to that IP address: on this machine nobody is in between."""
    try:
        is_here = ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        is_here = False
    if is_here:
        return well("tls", "not in use: the relay is on this machine, and known by its own key")
    what = "not in use: whoever is in between can read sales; what is said is bound to who says it"
    return notice(
        "tls", what, "give the relay TLS and enrol with its wss:// address, unless the line is yours"
    )


def _greet(connected: socket.socket, relay: Relay, path: str, host: str) -> Iterator[Finding | About]:
    nonce = secrets.token_bytes(NONCE_BYTES)
    try:
        status, body = _get(connected, f"{path}?nonce={nonce.hex()}", host)
    except (OSError, http.client.HTTPException) as error:
        yield wrong("relay", RelayUnreachable(f"what answers there is no relay ({why(error)})", hint=_NOBODY))
        return
    yield from _judge(relay, nonce, status, body)


def _get(connected: socket.socket, path: str, host: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection(host)) as connection:
        connection.sock = connected
        connection.request("GET", path, headers={"accept": "application/json"})
        with connection.getresponse() as answer:
            return answer.status, answer.read(ANSWER_BYTES_MAX)


def _judge(relay: Relay, nonce: bytes, status: int, body: bytes) -> Iterator[Finding | About]:
    if status == 404:
        what = "it does not say who it is: an older relay, or a web server or proxy that is none"
        yield unknown(
            "relay", what, "check the relay's address and port; if they are right, update the relay"
        )
        return
    try:
        said = About.from_json(json.loads(body))
    except (ValueError, RecursionError):
        hint = "check the relay's address and port: a web page or a proxy answers there"
        what = f"what answers there is no relay (HTTP {status})"
        yield wrong("relay", RelayUnreachable(what, hint=hint))
        return
    if not _is_proved(relay, nonce, said):
        what = "another relay answers there than the one that this register was enrolled with"
        yield wrong("relay", WrongRelayKey(what, hint=ANOTHER_RELAY))
        return
    yield said
    if said.problem:
        yield notice("relay", f"it is this register's relay, and says: {said.problem}", "tell who runs it")
    else:
        yield well("relay", "it has proved to be the one that this register was enrolled with")
    if said.protocol == VERSION:
        yield well("version", f"both speak version {VERSION} of the protocol")
    else:
        what = f"the relay speaks version {said.protocol} of the protocol, this register version {VERSION}"
        yield wrong("version", UnsupportedVersion(what))


def _is_proved(relay: Relay, nonce: bytes, said: About) -> bool:
    from crdtsync.model.signature import verify_with_purpose  # Late: cryptography is slow to import.

    payload = about_payload(nonce, said.now_ms)
    return said.key == relay.public_key and verify_with_purpose(
        said.key, ABOUT_PURPOSE, payload, said.signature
    )
