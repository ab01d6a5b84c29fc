"""What the head and the other nodes have in common."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Callable
from selectors import EVENT_READ, BaseSelector
from typing import Any

from .link import Gone, NodeLink
from .settings import GroupSettings


class Over(Exception):
    """The group ends; the text says on which node what has happened."""


class Participant:
    """One node's part in what all do together: gather, measure, serve, end.

    The selector's data are functions that are called when their socket is ready.

    + begun: all nodes are there, so whoever goes ends the group from now on
    + may_go: the gate is passed on all of them, so the engine is to start
    + missing: who is waited for, as words; "" for nobody
    """

    def __init__(self, group: GroupSettings, selector: BaseSelector) -> None:
        self.group = group
        self.begun = self.may_go = False
        self.missing = ""
        self._selector = selector

    def tick(self) -> None:
        """Do what is due by the clock; raise Over where that ends the group."""
        raise NotImplementedError

    def passed(self) -> None:
        """Take note that this node's gate is passed."""
        raise NotImplementedError

    def links(self) -> list[NodeLink]:
        """Return the connections to nodes that have proven the secret."""
        raise NotImplementedError

    def end(self, why: str) -> None:
        """Tell the others that the group ends, and listen to nobody any more."""
        for link in self.links():
            with contextlib.suppress(Gone):
                link.send(word="over", why=why[:500])
            link.hang_up()

    def _listen_to(
        self, link: NodeLink, ready: Callable[[NodeLink], None], events: int = EVENT_READ
    ) -> None:
        self._selector.register(link.connection, events, lambda: ready(link))

    def _drop(self, link: NodeLink) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(link.connection)
        link.close()


def family(address: str) -> socket.AddressFamily:
    """Return the family of sockets for an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def same(one: str, other: str) -> bool:
    """Return whether two texts are the same address."""
    return ipaddress.ip_address(one) == ipaddress.ip_address(other)


def text_of(message: dict[str, Any], name: str) -> str:
    """Return a field of a message; raise Gone if it is no text."""
    value = message.get(name)
    if not isinstance(value, str):
        raise Gone("it speaks another language")
    return value
