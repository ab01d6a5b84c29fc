"""The IP addresses of this machine, from /proc alone."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from ..lib.probe import read


def own(proc: Path = Path("/proc")) -> list[str]:
    """Return the addresses that other machines could use, IPv4 first.

    Loopback and link-local addresses are left out; an alias of an interface counts.
    """
    return [text for text in dict.fromkeys([*_v4(proc), *_v6(proc)]) if _leads_here(text)]


def _v4(proc: Path) -> list[str]:
    # A line with an address is followed by lines on what it is; our own are "host LOCAL".
    found, address = [], ""
    for line in read(proc / "net/fib_trie").splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[1]
        elif words[-2:] == ["host", "LOCAL"]:
            found.append(address)
    return found


def _v6(proc: Path) -> list[str]:
    lines = read(proc / "net/if_inet6").splitlines()
    return [str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in lines]


def _leads_here(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local)
