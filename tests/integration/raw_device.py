"""A connection to a relay that says what a test wants, and a device that keeps to the protocol until then."""

from __future__ import annotations

import random
from dataclasses import replace

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from crdtsync.ids import (
    OWNER_DOCUMENT,
    START,
)
from crdtsync.model.signature import sign_with_purpose
from crdtsync.protocol.session import Session
from crdtsync.protocol.work import Me


class Raw:
    """A connection that says what it wants."""

    def __init__(self, site, **options):
        url = site.relay.url + "/v1/sync"
        options = {"compression": None, "proxy": None, "max_size": None, "close_timeout": 1} | options
        self.socket = connect(url, **options).__enter__()

    def send(self, *frames):
        for frame in frames:
            self.socket.send(frame)
        return self

    def end(self):
        """How the relay closes: the code."""
        try:
            while True:
                self.socket.recv(timeout=60)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else "cut off"
        finally:
            self.socket.close()


class Device(Raw):
    """A connection that says hello as it should, or nearly."""

    def __init__(self, site, till, *, key=None, max_queue=16, **other):
        super().__init__(site, max_queue=max_queue)
        site.made += 1
        replica, identity = till.replica, till.identity
        key = key or replica.key
        me = Me(
            shop=identity.shop,
            device=identity.device,
            log_id=random.Random(site.made).randbytes(16),
            end=START,
            cursor_log=b"",
            cursor=START,
            wanted=(),
            nonce=bytes(16),
            certificate=b"",
            is_relay=False,
            time_ms=0,
            digest=bytes(32),
            software="hostile",
        )
        self.owners = [record[1:] for _, record in replica.log.document_records(OWNER_DOCUMENT)]
        self.session = Session(
            connecting=True,
            nonce=b"",
            sign=lambda purpose, payload: sign_with_purpose(key, purpose, payload),
            now_ms=0,
            me=replace(me, **other),
        )

    def say_hello(self):
        """Until the relay has said hello too, or closes."""
        while True:
            try:
                self.session.receive(self.socket.recv(timeout=60), 0)
            except ConnectionClosed:
                return self
            ready = self.session.take_ready()
            if ready.certificates_wanted:
                self.session.send_certificates(self.owners)
                ready.to_send += self.session.take_ready().to_send
            self.send(*ready.to_send)
            if ready.judge is not None:
                return self
