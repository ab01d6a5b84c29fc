"""The driver on machines whose GPUs are scripted: apt, DKMS, systemd and the reboots are real."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from tests.e2e.digest import difference, digest
from tests.e2e.rack import Rack, Run
from tests.lab import Lab, Machine
from tests.lab.classes import HARDWARE
from tests.lab.hardware import Hardware, change, fit, occupy
from tests.lab.nvidia_packages import DRIVER, NEWER, OLD
from tests.lab.nvidia_repository import NvidiaRepository, connect
from tests.lab.tree import Layer

LOADED = "cat /proc/driver/nvidia/version"
APT = "DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
PARTS = ("nvidia-dkms-580-open", "libnvidia-compute-580", "nvidia-utils-580")
H800 = "gpu='H800', gpus=8"


@dataclass
class Bench:
    """Machines of one lab, each of a class of its own, and the way to deploy to one of them."""

    lab: Lab
    url: str
    repository: NvidiaRepository
    folder: Callable[[], Path]
    layers: dict[str, Layer]

    def machine(self, name: str, hardware: Hardware, layer: str = "bare") -> Machine:
        (machine,) = self.lab.add(name, layer=self.layers[layer])
        system = hardware.system or ("debian", "12")
        connect(machine, self.url, system[0])
        fit(machine, hardware)
        return machine

    def keep(self, machine: Machine, layer: str) -> None:
        """What the machine has become is what later ones start from."""
        machine.stop()
        self.layers[layer] = self.lab.snapshot(machine)
        machine.start()

    def deploy(
        self, machine: Machine, profile: str, *options: str, site: str = "", deploy: str = ""
    ) -> Run:
        extra = (
            f"site = replace(site, mirrors=replace(site.mirrors, cuda={self.url!r}){site})\n"
            f"profile = HostProfile({profile})\n"
        )
        rack = Rack(self.lab, "", "", self.folder(), extra)
        rack.point_to([machine], "", "")
        pins = {
            name: {
                "version": "1.1-1",
                "origin": "cuda",
                "path": f"{name.removeprefix('cuda-keyring-')}/x86_64/cuda-keyring_1.1-1_all.deb",
                "sha256": sha256,
            }
            for name, sha256 in self.repository.keyrings().items()
        }
        locks = rack.folder / ".lab/sandbox/locks/artifacts.yaml"
        locks.parent.mkdir(parents=True)
        locks.write_text(yaml.safe_dump(pins))
        return rack.deploy(*options, deploy=deploy or "deploys/full.py")


@pytest.fixture(scope="module")
def bench(
    lab_factory: Callable[..., Lab],
    lab_nvidia: NvidiaRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    lab = lab_factory(["first"], name="driver")
    (first,) = lab.machines
    connect(first, lab_nvidia.listen(lab.host), "ubuntu")
    fit(first, HARDWARE["cpu"])
    bench = Bench(
        lab,
        lab_nvidia.listen(lab.host),
        lab_nvidia,
        lambda: tmp_path_factory.mktemp("driver"),
        {},
    )
    base = bench.deploy(first, "")
    assert base.code == 0, base.output
    first.stop()
    bench.layers["bare"] = lab.snapshot(first)
    return bench


def test_a_bare_machine_with_nouveau_becomes_a_right_one(bench: Bench) -> None:
    machine = bench.machine("bare", replace(HARDWARE["h800"], nouveau=True))
    before = digest(machine)
    dry = bench.deploy(machine, H800, "--dry")
    assert dry.code == 0, dry.output
    assert difference(before, digest(machine)) == {}

    run = bench.deploy(machine, H800)
    assert run.code == 0, run.output
    assert re.search(
        r"rebooting to load driver 580.178.04.*it is back after \d+ s", run.output, re.S
    )
    assert machine.boots() == 3  # The second was for the hardware to be built in.
    assert f"Open Kernel Module for x86_64  {DRIVER}  " in machine.ssh(LOADED).stdout
    assert machine.ssh("nvidia-smi -L").stdout.count("NVIDIA H800") == 8
    units = "nvidia-fabricmanager nvidia-persistenced nvidia-dcgm"
    assert machine.ssh(f"systemctl is-active {units}").stdout.split() == ["active"] * 3
    assert {*PARTS, "nvidia-fabricmanager"} <= {*machine.ssh("apt-mark showhold").stdout.split()}
    assert "trusted" not in machine.ssh("cat /etc/apt/sources.list.d/cuda-ubuntu2204.list").stdout
    # /run was emptied by the reboot, so this lock was taken after it.
    assert machine.ssh("test -e /run/modelrack/lock").returncode == 0
    upgrade = machine.ssh("apt-get -q update && apt-get -s -q dist-upgrade").stdout
    assert "0 upgraded, 0 newly installed, 0 to remove" in upgrade

    after = digest(machine)
    again = bench.deploy(machine, H800, "--json")
    assert again.code == 0, again.output
    assert [entry["name"] for entry in again.operations if not entry["no_change"]] == []
    assert difference(after, digest(machine)) == {}
    dry = bench.deploy(machine, H800, "--dry", "--json")
    planned = json.loads(dry.stdout)["plan"]
    assert [entry["name"] for entry in planned if entry["hosts_with_change"]] == []


def test_volta_gets_the_proprietary_module_and_needs_no_reboot(bench: Bench) -> None:
    machine = bench.machine("v100", HARDWARE["v100"])
    run = bench.deploy(machine, f"gpu='V100', gpus={len(HARDWARE['v100'].boards)}")
    assert run.code == 0, run.output
    assert machine.boots() == 2
    assert f"NVIDIA UNIX x86_64 Kernel Module  {DRIVER}  " in machine.ssh(LOADED).stdout


@pytest.fixture(scope="module")
def used(bench: Bench) -> Machine:
    """Somebody else installed an older driver there, and it is right."""
    machine = bench.machine("used", HARDWARE["h800"])
    key = "/etc/apt/keyrings/cuda.gpg"
    repository = f"{bench.url}/ubuntu2204/x86_64"
    machine.ssh(
        f"mkdir -p /etc/apt/keyrings && curl -fsS {repository}/cuda-keyring_1.1-1_all.deb -o k.deb"
        " && dpkg-deb --fsys-tarfile k.deb | tar -xO ./usr/share/keyrings/cuda-archive-keyring.gpg"
        f" > {key} && echo 'deb [signed-by={key}] {repository}/ /' > /etc/apt/sources.list.d/c.list"
    )
    _apt(machine, f"nvidia-driver-pinning-{OLD}")
    _apt(machine, *PARTS, "nvidia-fabricmanager", version=OLD)
    machine.ssh("systemctl enable nvidia-persistenced nvidia-fabricmanager")
    machine.reboot()
    return machine


def test_a_driver_that_is_right_is_left_alone(bench: Bench, used: Machine) -> None:
    before = digest(used)
    run = bench.deploy(used, H800, "--json")
    assert run.code == 0, run.output
    changed = [entry["name"] for entry in run.operations if not entry["no_change"]]
    assert changed == ["State | Note what is deployed"]
    assert difference(before, digest(used)) == {}
    assert "No package of the driver is held" in run.output


def test_somebody_else_uses_the_gpus(bench: Bench, used: Machine) -> None:
    occupy(used)
    before = digest(used)
    run = bench.deploy(used, f"{H800}, driver={DRIVER!r}")
    assert run.code == 1, run.output
    assert re.search(r"refused: .*python3 \(pid \d+, training.service\)", run.output)
    assert "busy_gpus=True" in run.output
    assert difference(before, digest(used)) == {}
    used.ssh("systemctl stop training")


def test_a_driver_that_was_upgraded_under_a_service(bench: Bench, used: Machine) -> None:
    _apt(used, f"nvidia-driver-pinning-{DRIVER}")
    _apt(used, *PARTS, "nvidia-fabricmanager", version=DRIVER)
    before = digest(used)
    run = bench.deploy(used, f"{H800}, reboot=False")
    assert run.code == 1, run.output
    assert f"driver {OLD} is loaded and {DRIVER} is installed" in run.output
    assert "Set reboot=True" in run.output
    assert difference(before, digest(used)) == {}

    # A job of ours is not ended by our own reboot.
    used.ssh("systemd-run --quiet --unit=modelrack-job-fetch-r1 sleep 600")
    run = bench.deploy(used, H800)
    assert run.code == 1, run.output
    assert "a job of ours runs on this machine (modelrack-job-fetch-r1.service)" in run.output
    used.ssh("systemctl stop modelrack-job-fetch-r1")

    boots = used.boots()
    run = bench.deploy(used, H800)
    assert run.code == 0, run.output
    assert used.boots() == boots + 1
    assert f"  {DRIVER}  " in used.ssh(LOADED).stdout


def test_a_fabric_manager_of_another_version(bench: Bench, used: Machine) -> None:
    _apt(used, "nvidia-fabricmanager", version=OLD, options="--allow-downgrades")
    used.ssh("systemctl restart nvidia-fabricmanager", check=False)
    boots = used.boots()
    run = bench.deploy(used, H800)
    assert run.code == 0, run.output
    assert used.boots() == boots
    assert used.ssh("systemctl is-active nvidia-fabricmanager").stdout == "active\n"
    assert bench.deploy(used, H800, "--json").code == 0


def test_a_reboot_that_never_comes_back(bench: Bench, used: Machine) -> None:
    used.stay_off()
    run = bench.deploy(used, H800, deploy="tests/e2e/deploys/reboot.py")
    used.stay_off(False)
    assert run.code == 1, run.output
    assert "the machine has not come back for 15 s" in run.output
    assert "has not come back within 18 s of its reboot. Look at its console" in run.output


def _apt(machine: Machine, *packages: str, version: str = "", options: str = "") -> None:
    names = [f"{name}={version}-*" if version else name for name in packages]
    machine.ssh(f"apt-get -q update; {APT} {options} {' '.join(names)}")
