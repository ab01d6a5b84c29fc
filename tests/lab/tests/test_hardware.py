"""Scripted hardware behaves like hardware: it shows itself, and loads what was really installed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deploys.connection import programs
from tests.lab import Lab, Machine
from tests.lab.archive_packages import KERNELS
from tests.lab.classes import HARDWARE
from tests.lab.hardware import Hardware, change, fit, occupy
from tests.lab.nvidia_packages import DRIVER, NEWER, OLD
from tests.lab.nvidia_repository import KEY, KEYRING, NvidiaRepository, connect
from tests.lab.tree import Layer
from tests.plans.simulated import MACHINES

INSTALL = "DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
OPEN = ("nvidia-dkms-580-open", "libnvidia-compute-580", "nvidia-utils-580")
PROPRIETARY = ("nvidia-dkms-580", *OPEN[1:])
LOADED = "cat /proc/driver/nvidia/version"


class Rack:
    """Machines that start where apt knows both repositories, each with hardware of its own."""

    def __init__(self, lab: Lab, url: str) -> None:
        self.lab, self.url = lab, url
        self.layers: dict[str, Layer] = {}
        for machine, system in zip(lab.machines, ("ubuntu2204", "debian12"), strict=True):
            connect(machine, url, system[:6])
            repository = f"{url}/{system}/x86_64"
            machine.ssh(
                f"curl -fsS {repository}/{KEYRING} -o keyring.deb"
                f" && dpkg-deb --fsys-tarfile keyring.deb | tar -xO ./{KEY} > /etc/apt/cuda.gpg"
                f" && echo 'deb [signed-by=/etc/apt/cuda.gpg] {repository}/ /'"
                " > /etc/apt/sources.list.d/cuda.list && apt-get -q update"
            )
            fit(machine, HARDWARE["cpu"])
            machine.stop()
            self.layers[system] = lab.snapshot(machine)

    def machine(self, name: str, hardware: Hardware, system: str = "ubuntu2204") -> Machine:
        layer = self.layers[system]
        (machine,) = self.lab.add(name, layer=layer, prepare=lambda each: fit(each, hardware))
        return machine


@pytest.fixture(scope="module")
def rack(lab_factory: Callable[..., Lab], lab_nvidia: NvidiaRepository) -> Rack:
    lab = lab_factory(["ubuntu", "debian"], name="hardware")
    return Rack(lab, lab_nvidia.listen(lab.host))


@pytest.fixture(scope="module")
def h800(rack: Rack) -> Machine:
    """Eight of them, with the older driver installed and loaded."""
    machine = rack.machine("h800", HARDWARE["h800"])
    install(machine, f"nvidia-driver-pinning-{OLD}")
    install(machine, *OPEN, "nvidia-fabricmanager", version=OLD)
    machine.reboot()
    machine.ssh("systemctl enable --now nvidia-persistenced nvidia-fabricmanager")
    return machine


def install(machine: Machine, *packages: str, version: str = "", check: bool = True) -> str:
    names = [f"{name}={version}-*" if version else name for name in packages]
    done = machine.ssh(f"{INSTALL} {' '.join(names)} 2>&1", check=check)
    return done.stdout


def facts(machine: Machine) -> dict[str, Any]:
    command = programs.inline("facts.machine", "modelrack-facts-machine", "/data").get_raw_value()
    read: dict[str, Any] = json.loads(machine.ssh(command).stdout)
    return read


def test_every_class_shows_its_gpus_on_the_bus(rack: Rack) -> None:
    machine = rack.machine("any", HARDWARE["cpu"])
    for name, hardware in HARDWARE.items():
        change(machine, hardware)
        seen = [(gpu["address"], gpu["pci_id"]) for gpu in facts(machine)["gpus"]]
        assert seen == [(gpu["address"], gpu["pci_id"]) for gpu in MACHINES[name]["gpus"]], name


def test_apt_installs_a_driver_and_a_reboot_loads_it(rack: Rack) -> None:
    machine = rack.machine("bare", HARDWARE["h800"])
    # Without the pin, apt would take parts of another branch and gives up.
    assert "unmet dependencies" in install(machine, *OPEN, version=OLD, check=False)
    install(machine, f"nvidia-driver-pinning-{OLD}")
    install(machine, *OPEN, version=OLD)
    there = machine.ssh("dpkg-query -W -f '${Version}\\n' nvidia-persistenced nvidia-modprobe")
    assert set(there.stdout.split()) == {f"{OLD}-1ubuntu1"}
    assert machine.ssh("nvidia-smi", check=False).returncode == 9
    machine.reboot()
    assert f"Open Kernel Module for x86_64  {OLD}  " in machine.ssh(LOADED).stdout
    assert machine.ssh("nvidia-smi -L").stdout.count("NVIDIA H800") == 8
    assert machine.ssh("nvidia-smi topo -m").stdout.count("NV8") == 56


def test_an_upgrade_needs_a_reboot_and_its_own_fabric_manager(h800: Machine) -> None:
    h800.ssh(f"apt-mark hold {' '.join(OPEN)}")
    assert "0 upgraded" in h800.ssh("apt-get -y upgrade").stdout
    h800.ssh(f"apt-mark unhold {' '.join(OPEN)}")
    install(h800, f"nvidia-driver-pinning-{DRIVER}")
    install(h800, *OPEN, version=DRIVER)
    broken = h800.ssh("nvidia-smi", check=False)
    assert (broken.returncode, broken.stdout) == (
        18,
        "Failed to initialize NVML: Driver/library version mismatch\n"
        "NVML library version: 580.178\n",
    )
    assert h800.ssh("systemctl is-active nvidia-fabricmanager").stdout == "active\n"
    h800.reboot()
    assert f"  {DRIVER}  " in h800.ssh(LOADED).stdout
    assert h800.ssh("systemctl is-active nvidia-fabricmanager", check=False).stdout == "failed\n"
    said = f"version {OLD} don't match with driver version {DRIVER}"
    assert said in h800.ssh("journalctl -u nvidia-fabricmanager").stdout
    install(h800, "nvidia-fabricmanager", version=DRIVER)
    h800.ssh("systemctl start nvidia-fabricmanager")
    assert "Completed" in h800.ssh("nvidia-smi -q").stdout


def test_a_running_machine_loses_a_gpu_and_shows_who_uses_another(h800: Machine) -> None:
    occupy(h800)
    assert h800.ssh("modprobe -r nvidia", check=False).returncode == 1
    lost = HARDWARE["h800"].fall_off("0000:18:00.0").with_board("0000:3a:00.0", uncorrected=2)
    change(h800, lost)
    query = "nvidia-smi --query-gpu=pci.bus_id,ecc.errors.uncorrected.volatile.total"
    lines = h800.ssh(f"{query} --format=csv,noheader").stdout.splitlines()
    assert (len(lines), lines[0]) == (7, "00000000:3A:00.0, 2")
    assert "Xid (PCI:0000:18:00): 79" in h800.ssh("cat /dev/kmsg").stdout
    change(h800, replace(lost, smi_seconds=3600))
    assert h800.ssh("timeout 0.5 nvidia-smi", check=False).returncode == 124
    h800.ssh("systemctl stop training")
    change(h800, HARDWARE["h800"])
    h800.ssh("modprobe -r nvidia && modprobe nvidia && nvidia-smi")


def test_volta_takes_the_proprietary_module_only(rack: Rack) -> None:
    machine = rack.machine("v100", HARDWARE["v100"])
    install(machine, f"nvidia-driver-pinning-{DRIVER}")
    install(machine, *OPEN, version=DRIVER)
    assert machine.ssh("modprobe nvidia", check=False).returncode == 1
    install(machine, *PROPRIETARY, version=DRIVER)
    machine.ssh("modprobe nvidia && nvidia-smi")
    assert f"NVIDIA UNIX x86_64 Kernel Module  {DRIVER}  " in machine.ssh(LOADED).stdout


def test_debian_names_nouveau_and_a_newer_branch(rack: Rack) -> None:
    """Nouveau keeps the GPUs until the root file system and the initramfs both forbid it."""
    hardware = replace(HARDWARE["l40s"], system=None, nouveau=True)
    machine = rack.machine("l40s", hardware, "debian12")
    owner = "basename $(readlink /sys/bus/pci/devices/0000:16:00.0/driver)"
    packages = ("nvidia-kernel-open-dkms", "nvidia-driver-cuda")
    install(machine, f"nvidia-driver-pinning-{DRIVER}")
    install(machine, *packages, version=DRIVER)
    machine.ssh("echo 'blacklist nouveau' > /etc/modprobe.d/nouveau.conf")
    machine.reboot()
    assert machine.ssh(owner).stdout == "nouveau\n"
    assert "such as nouveau" in machine.ssh("cat /dev/kmsg").stdout
    machine.ssh("update-initramfs -u -k all")
    machine.reboot()
    assert machine.ssh(owner).stdout == "nvidia\n"
    install(machine, f"nvidia-driver-pinning-{NEWER}")
    install(machine, *packages, version=NEWER)
    assert f"nvidia/{NEWER}, " in machine.ssh("dkms status").stdout


def test_secure_boot_loads_signed_modules_only(rack: Rack) -> None:
    machine = rack.machine("h200", replace(HARDWARE["h200"], secure_boot=True))
    install(machine, f"nvidia-driver-pinning-{DRIVER}")
    install(machine, *OPEN, version=DRIVER)
    refused = machine.ssh("modprobe nvidia", check=False)
    assert "Key was rejected by service" in refused.stderr


def test_canonicals_signed_modules_follow_the_release_of_the_kernel(rack: Rack) -> None:
    if not shutil.which("cc"):
        pytest.skip("no C compiler here, so no machine with another kernel's name")
    release = KERNELS["ubuntu2404"]
    machine = rack.machine("noble", replace(HARDWARE["h200"], release=release, secure_boot=True))
    connect(machine, rack.url, "ubuntu2404")
    machine.ssh("rm /etc/apt/sources.list.d/cuda.list; apt-get -q update")
    assert facts(machine)["kernel"] == release
    install(machine, "linux-modules-nvidia-580-server-open-generic", "linux-headers-generic")
    install(machine, "nvidia-headless-no-dkms-580-server-open", "nvidia-utils-580-server")
    install(machine, "nvidia-fabricmanager-580")
    machine.reboot()
    machine.ssh("nvidia-smi && systemctl start nvidia-fabricmanager")
    assert machine.ssh("readlink -e /lib/modules/*/build").stdout.endswith(f"{release}\n")


def test_dkms_skips_kernels_without_headers_and_fails_on_broken_ones(rack: Rack) -> None:
    hardware = replace(HARDWARE["rtx4090"], headers="missing")
    machine = rack.machine("rtx4090", hardware)
    install(machine, f"nvidia-driver-pinning-{DRIVER}")
    assert "was skipped since the" in install(machine, *OPEN, version=DRIVER)
    assert machine.ssh("dkms status").stdout == f"nvidia/{DRIVER}: added\n"
    install(machine, "linux-headers-generic")
    machine.ssh("dkms autoinstall && modprobe nvidia && nvidia-smi")
    fit(machine, replace(hardware, headers="broken", kernels={"99.1.0-1-generic": "present"}))
    failed = machine.ssh("apt-get install -y -q --reinstall nvidia-dkms-580-open 2>&1", check=False)
    assert failed.returncode == 100
    assert "half-configured" in machine.ssh("dpkg --audit; dpkg -s nvidia-dkms-580-open").stdout
    fit(machine, replace(hardware, headers="present", kernels={"99.1.0-1-generic": "present"}))
    machine.ssh("dpkg --configure -a")
    assert machine.ssh("dkms status").stdout.count("installed") == 2


def test_a_machine_can_stay_off_after_a_reboot(rack: Rack) -> None:
    machine = rack.machine("gone", HARDWARE["cpu"])
    machine.stay_off()
    machine.ssh("systemctl reboot", check=False)
    deadline = time.monotonic() + 20
    while machine.is_running():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    machine.stay_off(False)
    machine.start()
