"""Network interfaces and RDMA devices, from the kernel of this machine and from files of others."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from deploys.planning.inputs.fabric import Fabric
from deploys.remote.facts import network


def file(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def device(root: Path, name: str, **ports: tuple[str, str, str]) -> None:
    """An RDMA device whose ports have a link layer, a state and a rate."""
    for port, (layer, state, rate) in ports.items():
        folder = root / "sys/class/infiniband" / name / "ports" / port.lstrip("p")
        file(folder / "link_layer", f"{layer}\n")
        file(folder / "state", f"{state}\n")
        file(folder / "rate", f"{rate}\n")


def test_rdma_devices_are_told_by_port_in_their_order(tmp_path: Path) -> None:
    up, down = "4: ACTIVE", "1: DOWN"
    device(tmp_path, "mlx5_10", p1=("Ethernet", up, "400 Gb/sec (4X NDR)"))
    device(tmp_path, "mlx5_2", p1=("InfiniBand", up, "200 Gb/sec (4X HDR)"))
    device(
        tmp_path,
        "mlx5_bond_0",
        p1=("Ethernet", down, "2.5 Gb/sec (1X SDR)"),
        p2=("Ethernet", up, ""),
    )
    (tmp_path / "sys/class/infiniband/mlx5_10/device/net/ens10np0").mkdir(parents=True)
    found = network.report(tmp_path)
    assert found["hcas"] == [
        {
            "name": "mlx5_2:1",
            "layer": "InfiniBand",
            "active": True,
            "gigabits": 200,
            "interfaces": [],
        },
        {
            "name": "mlx5_10:1",
            "layer": "Ethernet",
            "active": True,
            "gigabits": 400,
            "interfaces": ["ens10np0"],
        },
        {
            "name": "mlx5_bond_0:1",
            "layer": "Ethernet",
            "active": False,
            "gigabits": 2,
            "interfaces": [],
        },
        {
            "name": "mlx5_bond_0:2",
            "layer": "Ethernet",
            "active": True,
            "gigabits": None,
            "interfaces": [],
        },
    ]
    read = Fabric.from_json(json.loads(json.dumps(found)))
    assert [each.name for each in read.fastest] == ["mlx5_10:1"]


@pytest.mark.parametrize("loaded", [True, False])
def test_whether_devices_reach_gpus_by_a_module(tmp_path: Path, loaded: bool) -> None:
    if loaded:
        (tmp_path / "sys/module/nvidia_peermem").mkdir(parents=True)
    assert network.report(tmp_path)["peer_memory"] is loaded


def test_interfaces_are_those_that_ip_shows() -> None:
    """Every address of this machine that leads elsewhere, with its interface."""
    try:
        shown = subprocess.run(["ip", "-j", "addr"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no ip on this machine")
    expected = {
        (link["ifname"].partition("@")[0], address["local"])
        for link in json.loads(shown.stdout)
        for address in link["addr_info"]
        if address["scope"] == "global"
    }
    found = network.report()["interfaces"]
    pairs = {(each["name"], address) for each in found for address in each["addresses"]}
    # Others may set up and take down networks while this runs.
    again = {
        (each["name"], address)
        for each in network.report()["interfaces"]
        for address in each["addresses"]
    }
    assert expected & again <= pairs | (pairs ^ again)
    assert pairs & again <= expected | (pairs ^ again)
    assert all(each["mtu"] for each in found)


def test_a_machine_without_a_network_has_none_of_it(tmp_path: Path) -> None:
    # IPv4 is asked of the kernel, the rest is read.
    found = network.report(tmp_path)
    assert found["hcas"] == [] and found["peer_memory"] is False
    assert all(each["mtu"] is None for each in found["interfaces"])


def test_what_an_older_program_says_is_read() -> None:
    assert Fabric.from_json({}) == Fabric()
