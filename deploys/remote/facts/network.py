"""The addresses of this machine, its network interfaces and RDMA devices, from the kernel alone."""

from __future__ import annotations

import array
import fcntl
import ipaddress
import re
import socket
import struct
from pathlib import Path
from typing import Any

from ..lib.probe import number, read

# Source: Linux, include/uapi/linux/sockios.h and if.h; ioctl fills in one entry for each address.
_SIOCGIFCONF = 0x8912
_ENTRY = struct.Struct("16s24x")
_MOST = 1024
# How long an entry's beginning is, and where in it the IPv4 address is.
_NAME, _ADDRESS = slice(0, 16), slice(20, 24)


def report(root: Path = Path("/")) -> dict[str, Any]:
    """Return what machines could talk to each other by.

    + root: where /sys and /proc are
    """
    return {
        "interfaces": _interfaces(root),
        "hcas": _hcas(root / "sys/class/infiniband"),
        "peer_memory": (root / "sys/module/nvidia_peermem").is_dir(),
    }


def own(proc: Path = Path("/proc")) -> list[str]:
    """Return the addresses that other machines could use, IPv4 first.

    Loopback and link-local addresses are left out; an alias of an interface counts.
    """
    return [
        text
        for text in dict.fromkeys(
            [*_local_v4(proc), *(address for _, address in _v6(read(proc / "net/if_inet6")))]
        )
        if _leads_here(text)
    ]


def _interfaces(root: Path) -> list[dict[str, Any]]:
    found: dict[str, list[str]] = {}
    for name, address in [*_v4(), *_v6(read(root / "proc/net/if_inet6"))]:
        if _leads_here(address):
            found.setdefault(name, []).append(address)
    return [
        {
            "name": name,
            "addresses": addresses,
            "mtu": number(read(root / "sys/class/net" / name / "mtu")),
            # Virtual ones say -1, and those that are down nothing.
            "speed": max(0, number(read(root / "sys/class/net" / name / "speed")) or 0) or None,
        }
        for name, addresses in sorted(found.items())
    ]


def _local_v4(proc: Path) -> list[str]:
    # A line with an address is followed by lines on what it is; our own are "host LOCAL".
    found, address = [], ""
    for line in read(proc / "net/fib_trie").splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[1]
        elif words[-2:] == ["host", "LOCAL"]:
            found.append(address)
    return found


def _leads_here(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local)


def _v4() -> list[tuple[str, str]]:
    """Return every IPv4 address with its interface; an alias, eth0:1, is on that of its name."""
    entries = array.array("B", bytes(_ENTRY.size * _MOST))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        pointer, _ = entries.buffer_info()
        try:
            answer = fcntl.ioctl(asked, _SIOCGIFCONF, struct.pack("iL", len(entries), pointer))
        except OSError:
            return []
    length = struct.unpack("iL", answer)[0]
    text = entries.tobytes()[:length]
    found = []
    for at in range(0, length, _ENTRY.size):
        entry = text[at : at + _ENTRY.size]
        name = entry[_NAME].split(b"\0", 1)[0].decode().partition(":")[0]
        found.append((name, socket.inet_ntoa(entry[_ADDRESS])))
    return found


def _v6(lines: str) -> list[tuple[str, str]]:
    words = [line.split() for line in lines.splitlines()]
    return [(each[-1], str(ipaddress.IPv6Address(int(each[0], 16)))) for each in words]


def _hcas(devices: Path) -> list[dict[str, Any]]:
    """Return one entry for each port of an RDMA device."""
    found = []
    for port in sorted(devices.glob("*/ports/*"), key=lambda path: _in_order(str(path))):
        device = port.parents[1]
        found.append(
            {
                "name": f"{device.name}:{port.name}",
                # InfiniBand or Ethernet, on which RDMA is RoCE.
                "layer": read(port / "link_layer").strip(),
                # "4: ACTIVE"
                "active": read(port / "state").strip().endswith("ACTIVE"),
                "gigabits": _gigabits(read(port / "rate")),
                "interfaces": sorted(each.name for each in (device / "device/net").glob("*")),
            }
        )
    return found


def _gigabits(rate: str) -> int | None:
    """Return the rate of a port, which reads "400 Gb/sec (4X NDR)" or "2.5 Gb/sec (1X SDR)"."""
    match = re.match(r"(\d+)(?:\.\d+)? Gb/sec", rate)
    return int(match[1]) if match else None


def _in_order(text: str) -> list[tuple[int, str]]:
    """Return a key by which mlx5_2 comes before mlx5_10."""
    parts = re.split(r"(\d+)", text)
    return [(int(each), "") if each.isdecimal() else (-1, each) for each in parts]
