"""The first node of a group: lets the others in, says when to go, and who is gone."""

from __future__ import annotations

import hmac
import socket
import time
from selectors import EVENT_READ, BaseSelector
from typing import Any

from . import log
from .link import INTRODUCTION, Gone, NodeLink, nonce, proof
from .node import Over, Participant, family, same, text_of
from .settings import GroupSettings

# Connections from one node that have proven nothing yet; the next one ends the oldest.
_UNPROVEN = 2


class HeadNode(Participant):
    """Rank 0, which all others keep one connection to."""

    def __init__(self, group: GroupSettings, selector: BaseSelector) -> None:
        super().__init__(group, selector)
        self._server: socket.socket | None = None
        self._links: dict[int, NodeLink] = {}
        # With the nonce that each was sent.
        self._unproven: dict[NodeLink, str] = {}
        self._has_passed: set[int] = set()

    def links(self) -> list[NodeLink]:
        return [*self._links.values()]

    def tick(self) -> None:
        if self._server is None:
            self._listen()
        now = time.monotonic()
        for link in [each for each in self._unproven if now - each.since > INTRODUCTION]:
            self._refuse(link, f"it did not say who it is within {INTRODUCTION:.0f} seconds")
        for rank, link in [*self._links.items()]:
            try:
                link.beat()
                link.flush()
            except Gone as gone:
                self._lost(rank, str(gone))
        absent = [rank for rank in range(1, len(self.group.nodes)) if rank not in self._links]
        self.missing = ", ".join(map(self.group.named, absent))
        if not absent and not self.begun:
            self.begun = True
            log.say("all nodes are there")
            self._tell_all("begin")

    def passed(self) -> None:
        self._count(0)

    def end(self, why: str) -> None:
        super().end(why)
        for link in [*self._unproven]:
            self._drop(link)
        self._unproven.clear()
        # Who comes now comes again, and finds the next head.
        if self._server:
            self._selector.unregister(self._server)
            self._server.close()

    def _listen(self) -> None:
        where = (self.group.head, self.group.port)
        try:
            self._server = socket.create_server(where, family=family(self.group.head), backlog=64)
        except OSError as error:
            # The address may be there later, as its interface is.
            log.say_at_times(f"cannot listen on {where[0]} port {where[1]}: {error.strerror}")
            return
        self._server.setblocking(False)
        self._selector.register(self._server, EVENT_READ, self._accept)

    def _accept(self) -> None:
        assert self._server
        try:
            connection, peer = self._server.accept()
        except OSError:
            return  # It has gone again, or there are no more file descriptors.
        address = str(peer[0])
        if not any(same(address, node) for node in self.group.nodes[1:]):
            connection.close()
            log.say_at_times(f"refused {address}: it is no node of this group", about=address)
            return
        of_it = [link for link in self._unproven if link.peer == address]
        if len(of_it) >= _UNPROVEN:
            self._refuse(of_it[0], "it says nothing, and comes again")
        link, asked = NodeLink(connection, address), nonce()
        self._unproven[link] = asked
        self._listen_to(link, self._read)
        try:
            link.send(nonce=asked)
        except Gone as gone:
            self._refuse(link, str(gone))

    def _read(self, link: NodeLink) -> None:
        try:
            for message in link.receive():
                if link in self._unproven:
                    self._introduced(link, message)
                else:
                    self._told(link, message)
        except Gone as gone:
            if link in self._unproven:
                self._refuse(link, str(gone))
            elif rank := self._rank_of(link):
                self._lost(rank, str(gone))

    def _introduced(self, link: NodeLink, message: dict[str, Any]) -> None:
        """Take in a node that proves the secret and has all that this one has."""
        group, rank, digest = self.group, message.get("rank"), text_of(message, "digest")
        if not isinstance(rank, int) or not 0 < rank < len(group.nodes):
            raise Gone("it has no rank in this group")
        nonces = self._unproven[link], text_of(message, "nonce")
        right = proof(group, "member", rank, digest, *nonces).hex()
        # Sealed in any case: who has another secret sees that by it.
        link.seal(proof(group, "session", rank, digest, *nonces), "head")
        if not hmac.compare_digest(text_of(message, "proof").encode(), right.encode()):
            link.send(word="refused", why="")
            raise Gone("it does not know the secret of the group; deploys/full.py puts it there")
        if not same(group.nodes[rank], link.peer):
            why = f"rank {rank} is {group.nodes[rank]}, and not {link.peer}"
            link.send(word="refused", why=why)
            raise Gone(why)
        if digest != group.digest:
            link.send(word="refused", why=f"the head has {group.digest[:12]}")
            raise Gone(
                f"it has another engine, settings or weights ({digest[:12]}, the head has"
                f" {group.digest[:12]}); run deploys/full.py for all machines of the group"
            )
        if self.begun:
            raise Over(f"{group.named(rank)} has come back, so what it was before is gone")
        del self._unproven[link]
        if rank in self._links:
            self._drop(self._links.pop(rank))
        self._links[rank] = link
        log.forget(link.peer)
        log.say(f"{group.named(rank)} is there")
        link.send(word="welcome")

    def _told(self, link: NodeLink, message: dict[str, Any]) -> None:
        rank, word = self._rank_of(link), message.get("word")
        if rank is None:
            return
        if word == "passed":
            self._count(rank)
        elif word == "over":
            why = text_of(message, "why")
            if self.begun:
                raise Over(why)
            raise Gone(why)

    def _count(self, rank: int) -> None:
        self._has_passed.add(rank)
        if len(self._has_passed) == len(self.group.nodes) and not self.may_go:
            self.may_go = True
            self._tell_all("go")

    def _tell_all(self, word: str) -> None:
        for rank, link in [*self._links.items()]:
            try:
                link.send(word=word)
            except Gone as gone:
                self._lost(rank, str(gone))

    def _lost(self, rank: int, why: str) -> None:
        link = self._links.pop(rank)
        self._drop(link)
        if self.begun:
            raise Over(f"{self.group.named(rank)} is gone: {why}")
        log.say(f"{self.group.named(rank)} has gone again: {why}")

    def _refuse(self, link: NodeLink, why: str) -> None:
        self._unproven.pop(link, None)
        self._drop(link)
        log.say_at_times(f"refused {link.peer}: {why}", about=link.peer)

    def _rank_of(self, link: NodeLink) -> int | None:
        return next((rank for rank, each in self._links.items() if each is link), None)
