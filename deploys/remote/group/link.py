"""One connection between two nodes: lines of JSON, sealed once both have proven the secret.

The head sends {"nonce"}. The other answers {"rank", "digest", "nonce", "proof"}: the proof is an
HMAC of both nonces, so it is good for this connection alone. From then on every line is preceded by
an HMAC of its direction, its number and its text, by a key of this connection: nothing can be
replayed, left out, turned round or put in. What is said is no secret, so it is not encrypted.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any, Literal

from .settings import GroupSettings

# Seconds between two signs of life, and of silence after which a node is gone.
BEAT, SILENCE = 3.0, 15.0
# Seconds that both ends have to prove the secret.
INTRODUCTION = 5.0
# Bytes of a line, and of what waits to be sent to one who does not read.
_LONGEST, _WAITING = 2048, 1 << 16

Side = Literal["head", "member"]


class Gone(Exception):
    """The other end is not there any more, or says what it may not; the text says which."""


def nonce() -> str:
    """Return a number that nobody has heard before, as text."""
    return secrets.token_hex(32)


def proof(group: GroupSettings, purpose: str, rank: int, digest: str, *nonces: str) -> bytes:
    """Return what shows that its maker has the secret and means this group, rank and digest."""
    words = [purpose, group.service, group.port, group.nodes, rank, digest, nonces]
    return hmac.new(group.secret, json.dumps(words).encode(), hashlib.sha256).digest()


class NodeLink:
    """A connection that never blocks.

    + peer: address of the other end
    + since, heard: when it was made and last spoken on, by the monotonic clock
    """

    def __init__(self, connection: socket.socket, peer: str) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Else what is sent to a machine without power is tried for a quarter of an hour.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SILENCE * 1000))
        self.connection, self.peer = connection, peer
        self.since = self.heard = time.monotonic()
        self._spoke = 0.0
        self._key: bytes | None = None
        self._side: Side = "member"
        self._sent = self._received = 0
        self._in, self._out = b"", b""

    def fileno(self) -> int:
        return self.connection.fileno()

    @property
    def is_sealed(self) -> bool:
        return self._key is not None

    def seal(self, key: bytes, side: Side) -> None:
        """Take a key for all that follows.

        + side: which this end is
        """
        self._key, self._side = key, side

    def send(self, **message: Any) -> None:
        """Send a message, or keep it until the other end reads; raise Gone if it does not."""
        text = json.dumps(message).encode()
        if self._key:
            text = self._mac(self._side, self._sent, text) + b" " + text
            self._sent += 1
        self._out += text + b"\n"
        self._spoke = time.monotonic()
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as it can be; raise Gone if that is too much."""
        try:
            while self._out:
                self._out = self._out[self.connection.send(self._out) :]
        except (BlockingIOError, InterruptedError):
            if len(self._out) > _WAITING:
                raise Gone("it does not read what it is told") from None
        except OSError as error:
            raise Gone(_said(error)) from error

    def receive(self) -> Iterator[dict[str, Any]]:
        """Yield the messages that are there; raise Gone at the end, or if one is not right."""
        try:
            piece = self.connection.recv(_LONGEST)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            raise Gone(_said(error)) from error
        if not piece:
            raise Gone("it closed the connection")
        self._in += piece
        while b"\n" in self._in:
            line, _, self._in = self._in.partition(b"\n")
            yield self._opened(line)
        if len(self._in) > _LONGEST:
            raise Gone("it says more than it may")

    def beat(self) -> None:
        """Give a sign of life when it is time for one; raise Gone if the other end gave none."""
        now = time.monotonic()
        if now - self.heard > SILENCE:
            raise Gone(f"nothing was heard of it for {SILENCE:.0f} seconds")
        if self.is_sealed and now - self._spoke >= BEAT:
            self.send(word="beat")

    def hang_up(self) -> None:
        """Say no more, so that what was said arrives, and whoever reads sees the end of it."""
        with contextlib.suppress(OSError):  # It is gone already.
            self.connection.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.connection.close()

    def _opened(self, line: bytes) -> dict[str, Any]:
        text = line
        if self._key:
            mac, _, text = line.partition(b" ")
            other: Side = "member" if self._side == "head" else "head"
            if not hmac.compare_digest(mac, self._mac(other, self._received, text)):
                raise Gone("what it says is not sealed with the secret of the group")
            self._received += 1
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            raise Gone("it speaks another language") from None
        if not isinstance(message, dict):
            raise Gone("it speaks another language")
        self.heard = time.monotonic()
        return message

    def _mac(self, side: Side, number: int, text: bytes) -> bytes:
        assert self._key
        words = b"%s %d %s" % (side.encode(), number, text)
        return hmac.new(self._key, words, hashlib.sha256).hexdigest().encode()


def _said(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
