"""Every node of a group but the first: comes to the head, again and again, and does as it says."""

from __future__ import annotations

import errno
import os
import socket
import time
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Any

from . import log
from .link import INTRODUCTION, Gone, NodeLink, nonce, proof
from .node import Over, Participant, family, text_of
from .settings import GroupSettings

# Seconds until the head is tried again; longer where it has said no.
_AGAIN, _REFUSED = 2.0, 10.0


class MemberNode(Participant):
    """A node that keeps one connection to the head."""

    def __init__(self, group: GroupSettings, selector: BaseSelector) -> None:
        super().__init__(group, selector)
        self._link: NodeLink | None = None
        self._is_welcome = False
        self._next = 0.0
        self.missing = group.named(0)

    def links(self) -> list[NodeLink]:
        return [self._link] if self._link and self._is_welcome else []

    def tick(self) -> None:
        link, now = self._link, time.monotonic()
        try:
            if link is None:
                if now >= self._next:
                    self._connect()
            elif self._is_welcome:
                link.beat()
                link.flush()
            elif now - link.since > INTRODUCTION:
                raise Gone(f"no answer within {INTRODUCTION:.0f} seconds")
        except Gone as gone:
            self._apart(str(gone))

    def passed(self) -> None:
        try:
            if self._link:
                self._link.send(word="passed")
        except Gone as gone:
            self._apart(str(gone))

    def _connect(self) -> None:
        connection = socket.socket(family(self.group.head), socket.SOCK_STREAM)
        link = self._link = NodeLink(connection, self.group.head)
        try:
            # From the address by which the head knows this node, whatever the routes say.
            connection.bind((self.group.me, 0))
            code = connection.connect_ex((self.group.head, self.group.port))
        except OSError as error:
            raise Gone(f"{self.group.me}: {error.strerror}") from error
        if code not in (0, errno.EINPROGRESS):
            raise Gone(os.strerror(code).lower())
        self._listen_to(link, self._connected, EVENT_WRITE)

    def _connected(self, link: NodeLink) -> None:
        code = link.connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._apart(os.strerror(code).lower())
            return
        self._selector.unregister(link.connection)
        self._listen_to(link, self._read, EVENT_READ)

    def _read(self, link: NodeLink) -> None:
        try:
            for message in link.receive():
                if link is not self._link:
                    return  # It has said no.
                if link.is_sealed:
                    self._told(link, message)
                else:
                    self._introduce(link, message)
        except Gone as gone:
            secret = "it has another secret, or is not the head; deploys/full.py puts it there"
            is_other = link.is_sealed and not self._is_welcome and "sealed" in str(gone)
            self._apart(secret if is_other else str(gone), _REFUSED if is_other else _AGAIN)

    def _introduce(self, link: NodeLink, message: dict[str, Any]) -> None:
        group = self.group
        nonces = text_of(message, "nonce"), nonce()
        own = proof(group, "member", group.rank, group.digest, *nonces).hex()
        link.send(rank=group.rank, digest=group.digest, nonce=nonces[1], proof=own)
        link.seal(proof(group, "session", group.rank, group.digest, *nonces), "member")

    def _told(self, link: NodeLink, message: dict[str, Any]) -> None:
        word = message.get("word")
        if word == "welcome":
            self._is_welcome = True
            log.forget("head")
            log.say(f"{self.group.named(0)} is there, and waits for all others")
            self.missing = "the other nodes"
        elif word == "refused":
            why = f"it refuses this node: {text_of(message, 'why')}"
            self._apart(f"{why}; this node has {self.group.digest[:12]}", _REFUSED)
        elif word == "begin":
            self.begun = True
            self.missing = ""
            log.say("all nodes are there")
        elif word == "go":
            self.may_go = True
        elif word == "over":
            raise Over(text_of(message, "why")) if self.begun else Gone(text_of(message, "why"))

    def _apart(self, why: str, pause: float = _AGAIN) -> None:
        """Leave the head, to come again; raise Over where the group had begun."""
        if self._link:
            self._drop(self._link)
        self._link, self._next = None, time.monotonic() + pause
        if self.begun:
            raise Over(f"{self.group.named(0)} is gone: {why}")
        self._is_welcome = False
        self.missing = self.group.named(0)
        log.say_at_times(f"{self.group.named(0)} is not there: {why}", about="head")
