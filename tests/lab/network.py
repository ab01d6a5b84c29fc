"""One bridge and /24 per lab, one network namespace per machine, and link faults.

Every name carries the lab's id, so all of it can be found and removed by name. Nothing is put
into tables or chains that belong to the host.
"""

from __future__ import annotations

import ipaddress
import json
import random
import re
from dataclasses import dataclass
from pathlib import Path

from tests.lab.process import LabError, run

FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True)
class Network:
    """The network of one lab; ``host`` is this side's address on the bridge."""

    lab: str
    subnet: ipaddress.IPv4Network
    mtu: int
    air_gapped: bool = False

    @property
    def bridge(self) -> str:
        return self.lab

    @property
    def table(self) -> str:
        return f"modelrack_lab_{self.lab}"

    @property
    def host(self) -> str:
        return str(self.subnet[1])

    def address(self, index: int) -> str:
        """Address of machine number ``index``, counted from 1."""
        return str(self.subnet[10 + index])

    def link(self, index: int) -> str:
        """The host's end of the cable of machine ``index``."""
        return f"{self.lab}-{index}"

    def namespace(self, index: int) -> str:
        """The network namespace of machine ``index``."""
        return f"{self.lab}-{index}"


def create(lab: str, *, air_gapped: bool = False) -> Network:
    """Make the bridge; with ``air_gapped`` nothing leads from it to the outside."""
    network = Network(lab, _free_subnet(), _outer_mtu(), air_gapped)
    run(
        ["ip", "-batch", "-"],
        stdin=f"link add {network.bridge} mtu {network.mtu} type bridge forward_delay 0\n"
        f"addr add {network.host}/24 dev {network.bridge}\n"
        f"link set {network.bridge} up\n",
    )
    nat = (
        f"ip saddr {network.subnet} ip daddr != {network.subnet} masquerade"
        if not air_gapped
        else ""
    )
    stop = f"iifname {network.bridge} drop" if air_gapped else ""
    run(
        ["nft", "-f", "-"],
        stdin=f"""
        table ip {network.table} {{
            chain nat {{ type nat hook postrouting priority srcnat; {nat}
            }}
            chain forward {{ type filter hook forward priority -10; {stop}
            }}
            chain reject_input {{ type filter hook input priority -20;
            }}
            chain reject_forward {{ type filter hook forward priority -20;
            }}
            chain reject_output {{ type filter hook output priority -20;
            }}
        }}
        table bridge {network.table} {{
            chain faults {{ type filter hook prerouting priority -300;
            }}
            chain faults_out {{ type filter hook postrouting priority -300;
            }}
        }}
        """,
    )
    if not air_gapped:
        FORWARD.write_text("1\n")
    return network


def attach(network: Network, index: int) -> None:
    """Make machine ``index``'s namespace with one wired interface, ``host0``, in it."""
    link, namespace = network.link(index), network.namespace(index)
    run(["ip", "netns", "add", namespace])
    run(
        ["ip", "-batch", "-"],
        stdin=f"link add {link} mtu {network.mtu} type veth "
        f"peer name host0 mtu {network.mtu} netns {namespace}\n"
        f"link set {link} master {network.bridge} up\n",
    )
    run(
        ["ip", "-n", namespace, "-batch", "-"],
        stdin=f"link set lo up\naddr add {network.address(index)}/24 dev host0\n"
        f"link set host0 up\nroute add default via {network.host}\n",
    )


def attach_tap(network: Network, index: int) -> None:
    """Make the cable of machine ``index``, whose other end is a card of QEMU's."""
    link = network.link(index)
    run(["ip", "tuntap", "add", "dev", link, "mode", "tap"])
    run(
        ["ip", "-batch", "-"],
        stdin=f"link set {link} mtu {network.mtu} master {network.bridge} up\n",
    )


def cut(network: Network, index: int) -> None:
    """Black hole: packets of machine ``index`` vanish both ways, nobody is told."""
    _fault(
        network,
        index,
        f"add rule bridge {{table}} faults iifname {network.link(index)} drop {{mark}}\n"
        f"add rule bridge {{table}} faults_out oifname {network.link(index)} drop {{mark}}\n",
    )


def reject(network: Network, index: int) -> None:
    """Whoever talks to or from machine ``index`` is told at once that it cannot be reached."""
    link, address = network.link(index), network.address(index)
    to = f"ip daddr {address}"
    # This kernel family may have no reject for bridged packets: between machines they are dropped.
    lines = [
        f"bridge {{table}} faults iifname {link} ip daddr {network.subnet} "
        f"ip daddr != {network.host} drop",
        f"bridge {{table}} faults_out oifname {link} ip saddr {network.subnet} "
        f"ip saddr != {network.host} drop",
        f"ip {{table}} reject_output {to} tcp flags rst accept",
        f"ip {{table}} reject_output {to} icmp type destination-unreachable accept",
    ]
    for chain, match in (
        ("reject_output", to),
        ("reject_input", f"iifname {network.bridge} ip saddr {address}"),
        ("reject_forward", to),
        ("reject_forward", f"ip saddr {address}"),
    ):
        lines += [
            f"ip {{table}} {chain} {match} ip protocol tcp reject with tcp reset",
            f"ip {{table}} {chain} {match} ip protocol != tcp reject",
        ]
    _fault(network, index, "".join(f"add rule {line} {{mark}}\n" for line in lines))


def lose(network: Network, index: int, percent: int) -> None:
    """Drop ``percent`` of the packets of machine ``index``, at random, both ways."""
    chance = f"numgen random mod 100 < {percent} drop {{mark}}"
    _fault(
        network,
        index,
        f"add rule bridge {{table}} faults iifname {network.link(index)} {chance}\n"
        f"add rule bridge {{table}} faults_out oifname {network.link(index)} {chance}\n",
    )


def slow(network: Network, index: int, rate: str) -> None:
    """Limit machine ``index`` to ``rate`` (as tc writes it, ``8mbit``) in each direction."""
    slow_down(network, index, rate)
    inside = ["tc", "-n", network.namespace(index)]
    run([*inside, "qdisc", "replace", "dev", "host0", *_limit(rate)])


def slow_down(network: Network, index: int, rate: str) -> None:
    """Limit what machine ``index`` is sent to ``rate``."""
    run(["tc", "qdisc", "replace", "dev", network.link(index), *_limit(rate)])


def _limit(rate: str) -> list[str]:
    return ["root", "tbf", "rate", rate, "burst", "32kb", "latency", "400ms"]


def restore(network: Network, index: int) -> None:
    """Take every fault off the link of machine ``index``."""
    mark = f'comment "{network.link(index)}"'
    script = []
    for family in ("ip", "bridge"):
        chain = ""
        for line in run(["nft", "-a", "list", "table", family, network.table]).splitlines():
            if found := re.match(r"\s*chain (\S+) \{", line):
                chain = found[1]
            elif mark in line and (found := re.search(r"# handle (\d+)$", line)):
                script.append(f"delete rule {family} {network.table} {chain} handle {found[1]}")
    if script:
        run(["nft", "-f", "-"], stdin="\n".join(script) + "\n")
    run(["tc", "qdisc", "del", "dev", network.link(index), "root"], check=False)
    inside = ["tc", "-n", network.namespace(index), "qdisc", "del", "dev", "host0", "root"]
    run(inside, check=False)


def _fault(network: Network, index: int, rules: str) -> None:
    restore(network, index)
    mark = f'comment "{network.link(index)}"'
    run(["nft", "-f", "-"], stdin=rules.format(table=network.table, mark=mark))


def _outer_mtu() -> int:
    """The MTU of the way out: larger packets from a machine would be lost on it."""
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "default"]) or "[]")
    if not routes:
        return 1400
    link = json.loads(run(["ip", "-j", "link", "show", "dev", routes[0]["dev"]]))
    return min(int(link[0]["mtu"]), 1500)


def _free_subnet() -> ipaddress.IPv4Network:
    """A random /24 of 10.0.0.0/8 that neither a route nor a name server of the host is in."""
    taken = [
        ipaddress.IPv4Network(route["dst"], strict=False)
        for route in json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"]) or "[]")
        if route["dst"] != "default" and "type" not in route
    ]
    for line in Path("/etc/resolv.conf").read_text().splitlines():
        server = line.split()[1:2] if line.startswith("nameserver") else []
        if server and ":" not in server[0]:
            taken.append(ipaddress.IPv4Network(f"{server[0]}/24", strict=False))
    for _ in range(200):
        chosen = random.SystemRandom().randrange(2**16)
        subnet = ipaddress.IPv4Network(f"10.{chosen >> 8}.{chosen & 255}.0/24")
        # A route to all of 10.0.0.0/8 (a company network) is no reason to give up.
        if not any(subnet.overlaps(other) for other in taken if other.prefixlen >= 12):
            return subnet
    raise LabError("no free /24 in 10.0.0.0/8 on this host")
