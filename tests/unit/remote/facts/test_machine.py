"""What the facts program reads from the machine: the bus, processes, kernels, packages, its log."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploys.connection import programs
from deploys.remote.facts import container, kernel_log, kernels, machine, network, packages, pci
from deploys.remote.facts.machine import cores, nodes
from deploys.remote.lib import probe, processes

MODULE = b"\x7fELF" + bytes(60) + b"license=NVIDIA\0version=580.159.04\0srcversion=9\0" + bytes(9)
SIGNED = MODULE + b"~Module signature appended~\n"
FORBIDDEN = "# ours\nblacklist nouveau\noptions nouveau modeset=0\n"


def device(bus: Path, address: str, pci_id: str, pci_class: str, **more: str) -> None:
    """One device of a PCI bus."""
    vendor, model = pci_id.split(":")
    files = {"vendor": f"0x{vendor}", "device": f"0x{model}", "class": f"0x{pci_class}", **more}
    (bus / address).mkdir(parents=True)
    driver = files.pop("driver", None)
    for name, text in files.items():
        (bus / address / name).write_text(f"{text}\n")
    if driver:
        (bus / address / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")


def test_the_key_that_a_unit_has_made_is_told_by_its_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine.settings, "KEY", tmp_path / "unit-key")
    assert machine._own_key() is None
    (tmp_path / "unit-key").write_text("mr-secret\n")
    assert machine._own_key() == hashlib.sha256(b"mr-secret").hexdigest()


def test_threads_are_for_the_fast_cores_alone(tmp_path: Path) -> None:
    """Two fast cores with two threads each, and four slow ones."""
    siblings = ["0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7"]
    for cpu, shared in enumerate(siblings):
        topology = tmp_path / f"system/cpu/cpu{cpu}/topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{shared}\n")
    assert cores(set(range(8)), tmp_path) == 6
    (tmp_path / "cpu_core").mkdir()
    (tmp_path / "cpu_core" / "cpus").write_text("0-3\n")
    assert cores(set(range(8)), tmp_path) == 2
    # Where only slow ones are ours, they are all there is.
    assert cores({5, 6}, tmp_path) == 2


def test_cores_of_two_kinds_are_told_by_their_capacity(tmp_path: Path) -> None:
    """As on GB10: fast ones of two clusters, and slow ones."""
    for cpu, capacity in enumerate((1024, 1024, 997, 718, 718)):
        (tmp_path / f"system/cpu/cpu{cpu}").mkdir(parents=True)
        (tmp_path / f"system/cpu/cpu{cpu}/cpu_capacity").write_text(f"{capacity}\n")
    assert cores(set(range(5)), tmp_path) == 3
    assert cores({3, 4}, tmp_path) == 2


def test_memory_nodes_are_those_whose_processors_and_memory_are_ours(tmp_path: Path) -> None:
    """Memory of a card (GH200) and of an expansion board (CXL) have no processors."""
    for index, (cpus, kilobytes) in enumerate([("0-3", 4096), ("4-7", 8192), ("", 99), ("8", 0)]):
        folder = tmp_path / f"system/node/node{index}"
        folder.mkdir(parents=True)
        (folder / "cpulist").write_text(f"{cpus}\n")
        total = f"Node {index} MemTotal:       {kilobytes} kB\n" if kilobytes else ""
        (folder / "meminfo").write_text(f"{total}Node {index} MemFree:  1 kB\n")
    (tmp_path / "system/node/has_cpu").write_text("0-1\n")
    whole = [
        {"index": 0, "cores": 4, "memory": 4096 << 10},
        {"index": 1, "cores": 4, "memory": 8192 << 10},
    ]
    assert nodes(set(range(9)), "", tmp_path) == whole
    # A container may have less of either.
    assert nodes({5, 6}, "", tmp_path) == [{"index": 1, "cores": 2, "memory": 8192 << 10}]
    status = "Name:\tpython3\nMems_allowed:\t1\nMems_allowed_list:\t0\n"
    assert nodes(set(range(9)), status, tmp_path) == whole[:1]
    assert nodes(set(range(9)), "", tmp_path / "none") == []


@pytest.mark.parametrize(
    ("files", "cores", "memory"),
    [
        ({}, None, None),
        ({"cpu.max": "max 100000", "memory.max": "max"}, None, None),
        ({"cpu.max": "450000 100000", "memory.max": "8589934592"}, 4, 8 << 30),
        ({"cpu.max": "50000 100000"}, 1, None),
        (
            {
                "cpu/cpu.cfs_quota_us": "-1",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "9223372036854771712",
            },
            *(None, None),
        ),
        (
            {
                "cpu/cpu.cfs_quota_us": "200000",
                "cpu/cpu.cfs_period_us": "100000",
                "memory/memory.limit_in_bytes": "4294967296",
            },
            *(2, 4 << 30),
        ),
    ],
)
def test_what_a_container_may_use(
    files: dict[str, str], cores: int | None, memory: int | None, tmp_path: Path
) -> None:
    """Both kinds of control groups; what it sees is all that the machine has."""
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    assert container.limits(tmp_path) == {"cores": cores, "memory": memory}


def test_threads_and_memory_are_what_the_container_may_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["machine.py", "modelrack-facts-machine", "/none"])
    monkeypatch.setattr(container, "limits", lambda: {"cores": 1, "memory": 1 << 20})
    assert machine.main() == 0
    said = json.loads(capsys.readouterr().out)
    assert [said[name] for name in ("cores", "memory", "memory_available")] == [1, 1 << 20, 1 << 20]
    assert said["numa_nodes"] == max(1, len(said["nodes"]))


def test_a_gpu_is_what_the_bus_says(tmp_path: Path) -> None:
    width = {"current_link_width": "8", "max_link_width": "16"}
    device(tmp_path, "0000:3a:00.0", "10de:2324", "030200", numa_node="1", driver="nvidia", **width)
    device(tmp_path, "0000:18:00.0", "10de:2324", "030200", numa_node="-1")
    device(tmp_path, "0000:3a:00.1", "10de:22ba", "040300")  # its sound
    first, second = pci.gpus(tmp_path)
    assert first == {
        "address": "0000:18:00.0",
        "pci_id": "10de:2324",
        "numa": None,
        "lanes": None,
        "lanes_max": None,
        "subsystem": "",
        "functions": None,
        "driver": "",
    }
    assert (second["numa"], second["driver"]) == (1, "nvidia")
    assert (second["lanes"], second["lanes_max"]) == (8, 16)


@pytest.mark.parametrize(
    ("pci_id", "pci_class", "accelerator"),
    [
        ("10de:2684", "030000", True),
        ("1002:74a1", "120000", True),
        ("1002:740f", "038000", True),
        ("19e5:d802", "120000", True),
        ("1d94:6211", "0b4000", True),
        ("19e5:1711", "030000", False),  # the console of a Huawei server
        ("1a03:2000", "030000", False),
        ("10de:22a3", "068000", False),
    ],
)
def test_what_is_an_accelerator(
    pci_id: str, pci_class: str, accelerator: bool, tmp_path: Path
) -> None:
    device(tmp_path, "0000:01:00.0", pci_id, pci_class)
    assert bool(pci.gpus(tmp_path)) is accelerator


def test_what_a_card_is_divided_into(tmp_path: Path) -> None:
    """On the host of virtual machines, and in one: a slice has a subsystem of its own."""
    board = {"subsystem_vendor": "0x10de", "subsystem_device": "0x145a", "sriov_numvfs": "2"}
    device(tmp_path, "0000:17:00.0", "10de:2235", "030200", **board)
    for function in (4, 5):
        device(tmp_path, f"0000:17:00.{function}", "10de:2235", "030200")
        (tmp_path / f"0000:17:00.{function}" / "physfn").symlink_to("../0000:17:00.0")
    (card,) = pci.gpus(tmp_path)
    assert (card["subsystem"], card["functions"]) == ("10de:145a", 2)


def test_nvswitches_are_counted_without_a_driver(tmp_path: Path) -> None:
    for number in range(4):
        device(tmp_path, f"0000:0{number}:00.0", "10de:22a3", "068000")
    device(tmp_path, "0000:18:00.0", "10de:2324", "030200")
    assert (pci.nvswitches(tmp_path), len(pci.gpus(tmp_path))) == (4, 1)


def test_a_machine_without_a_pci_bus_has_no_gpus(tmp_path: Path) -> None:
    assert (pci.gpus(tmp_path / "none"), pci.nvswitches(tmp_path / "none")) == ([], 0)


def process(proc: Path, pid: int, name: str, cgroup: str, *files: str) -> None:
    """One process that has these files open."""
    (proc / str(pid) / "fd").mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(f"{name}\n")
    (proc / str(pid) / "cgroup").write_text(f"0::{cgroup}\n")
    for number, file in enumerate(files):
        (proc / str(pid) / "fd" / str(number)).symlink_to(file)


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Two listening ports, one with an owner to be seen, and holders of a GPU."""
    (tmp_path / "net").mkdir()
    head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid t inode"
    socket = "   0: 0100007F:{:04X} 00000000:0000 {} 0:0 00:0 0     0        0 {} 1 0 100 0 0 10 0"
    lines = [head, socket.format(8000, "0A", 501), socket.format(22, "0A", 502)]
    (tmp_path / "net/tcp").write_text("\n".join([*lines, socket.format(9, "01", 503)]) + "\n")
    vllm = "/system.slice/vllm@r1.service"
    process(tmp_path, 900, "VLLM::Worker", vllm, "/dev/nvidiactl", "/dev/nvidia1", "socket:[501]")
    session = "/machine.slice/box.service/user.slice/session-1.scope"
    process(tmp_path, 30, "python3", session, "/dev/nvidia0", "/dev/null")
    process(tmp_path, 31, "nvidia-smi", "/", "/dev/nvidiactl", "/dev/nvidia-uvm")
    return tmp_path


def test_holders_of_ports_and_gpus(proc: Path) -> None:
    ports, holders = processes.ports_and_holders(True, proc)
    assert ports == {8000: "vllm@r1.service", 22: ""}
    assert holders == [
        {"pid": 30, "name": "python3", "unit": "session-1.scope"},
        {"pid": 900, "name": "VLLM::Worker", "unit": "vllm@r1.service"},
    ]


def test_without_a_gpu_nobody_is_its_holder(proc: Path) -> None:
    assert processes.ports_and_holders(False, proc) == ({8000: "vllm@r1.service", 22: ""}, [])


@pytest.mark.parametrize("file", ["/dev/kfd", "/dev/davinci3", "/dev/vfio/42"])
def test_cards_of_other_vendors_have_holders(file: str, tmp_path: Path) -> None:
    process(tmp_path, 7, "a", "/", file)
    assert processes.ports_and_holders(True, tmp_path)[1] == [{"pid": 7, "name": "a", "unit": ""}]


def kernel(modules: Path, release: str, module: str = "", content: bytes = MODULE) -> Path:
    """An installed kernel, perhaps with a module in some folder of it."""
    (modules / release / "kernel").mkdir(parents=True)
    if module:
        (modules / release / module).parent.mkdir(parents=True, exist_ok=True)
        (modules / release / module).write_bytes(content)
    return modules / release


def test_every_installed_kernel_and_the_running_one(tmp_path: Path) -> None:
    headers = tmp_path / "usr/src/linux-headers-6.8.0-45"
    headers.mkdir(parents=True)
    modules = tmp_path / "modules"
    kernel(modules, "6.8.0-45", "updates/dkms/nvidia.ko", SIGNED).joinpath("build").symlink_to(
        headers
    )
    # Its headers were removed: the link leads nowhere.
    kernel(modules, "6.8.0-50").joinpath("build").symlink_to(tmp_path / "usr/src/gone")
    # A removed kernel that DKMS has left something of.
    (modules / "5.15.0-1/updates/dkms").mkdir(parents=True)
    assert kernels.installed("6.8.0-99", "nvidia", modules) == [
        {"release": "6.8.0-45", "headers": True, "module": "580.159.04", "signed": True},
        {"release": "6.8.0-50", "headers": False, "module": None, "signed": None},
        {"release": "6.8.0-99", "headers": False, "module": None, "signed": None},
    ]
    # Without a card the modules are not walked through.
    assert not any(found["module"] for found in kernels.installed("6.8.0-45", "", modules))


@pytest.mark.parametrize(
    "path",
    [
        "updates/dkms/nvidia.ko",
        "updates/dkms/nvidia-current.ko",
        "updates/dkms/nvidia-current-open.ko",
        "kernel/nvidia-580srv-open/nvidia.ko",
        "extra/nvidia.ko",
    ],
)
def test_the_module_under_every_name_it_has(path: str, tmp_path: Path) -> None:
    kernel(tmp_path, "6.1.0", path)
    kernel(tmp_path, "6.1.0-other", path.replace("nvidia", "nvidia-drm").replace("-current", ""))
    first, other = kernels.installed("6.1.0", "nvidia", tmp_path)
    assert (first["module"], first["signed"]) == ("580.159.04", False)
    assert other["module"] is None


def test_the_module_that_modprobe_takes(tmp_path: Path) -> None:
    folder = kernel(tmp_path, "6.1.0", "updates/dkms/nvidia.ko")
    older = MODULE.replace(b"580.159.04", b"535.261.03")
    (folder / "kernel/nvidia.ko").write_bytes(older)
    assert kernels.installed("6.1.0", "nvidia", tmp_path)[0]["module"] == "580.159.04"
    (folder / "updates/dkms/nvidia.ko").unlink()
    assert kernels.installed("6.1.0", "nvidia", tmp_path)[0]["module"] == "535.261.03"


def test_amds_module_is_the_one_of_dkms_and_not_the_kernels_own(tmp_path: Path) -> None:
    folder = kernel(tmp_path, "6.8.0", "kernel/drivers/gpu/drm/amd/amdgpu/amdgpu.ko", b"no version")
    assert kernels.installed("6.8.0", "amdgpu", tmp_path)[0]["module"] is None
    (folder / "updates/dkms").mkdir(parents=True)
    (folder / "updates/dkms/amdgpu.ko").write_bytes(MODULE.replace(b"580.159.04", b"6.16.13"))
    (folder / "updates/dkms/amdkcl.ko").write_bytes(MODULE)
    assert kernels.installed("6.8.0", "amdgpu", tmp_path)[0]["module"] == "6.16.13"
    assert kernels.installed("6.8.0", "nvidia", tmp_path)[0]["module"] is None


def test_a_packed_module_is_shown_by_modinfo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel(tmp_path, "6.1.0", "extra/nvidia.ko.xz", lzma.compress(MODULE))
    answers = {str(tmp_path / "6.1.0/extra/nvidia.ko.xz"): "version:        550.90.12\n"}
    monkeypatch.setattr(kernels, "run", lambda tool, path: (answers[path], ""))
    assert kernels.installed("6.1.0", "nvidia", tmp_path)[0]["module"] == "550.90.12"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("filename: x\nversion:        580.1.2\nsig_id:         PKCS#7\n", ("580.1.2", True)),
        ("version:        580.1.2\nsrcversion:     01\n", ("580.1.2", False)),
        ("modinfo: ERROR: could not get modinfo from 'nvidia'\n", (None, None)),
        ("", (None, None)),
    ],
)
def test_what_modinfo_says(text: str, found: tuple[str | None, bool | None]) -> None:
    assert kernels.module_info(text) == found


@pytest.mark.parametrize("content", [b"", b"no module", b"\0version=1"])
def test_a_file_that_is_no_module_has_no_version(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "nvidia.ko").write_bytes(content)
    assert kernels.plain_module(tmp_path / "nvidia.ko")[0] is None


@pytest.mark.parametrize(
    ("firmware", "shim", "on"),
    [(1, None, True), (0, None, False), (None, None, False), (1, 1, False), (1, 0, True)],
)
def test_secure_boot(firmware: int | None, shim: int | None, on: bool, tmp_path: Path) -> None:
    (tmp_path / "efivars").mkdir()
    for name, value in (
        ("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", firmware),
        ("MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23", shim),
    ):
        if value is not None:
            (tmp_path / "efivars" / name).write_bytes(bytes([6, 0, 0, 0, value]))
    assert kernels.secure_boot(tmp_path) is on


def test_without_uefi_there_is_no_secure_boot(tmp_path: Path) -> None:
    assert kernels.secure_boot(tmp_path / "efi") is None


NOUVEAU = "kernel/drivers/gpu/drm/nouveau/nouveau.ko.zst"


@pytest.mark.parametrize("image", ["initrd.img-6.1.0", "initramfs-6.1.0.img"])
@pytest.mark.parametrize(
    ("settings", "age", "expected"),
    [
        ("", 0, True),
        ("# blacklist nouveau\n", 0, True),
        ("options nouveau modeset=0\n", 0, True),
        (FORBIDDEN, 100, True),  # the image was packed before
        (FORBIDDEN, -100, False),
        ("install nouveau /bin/false\n", -100, False),
        ("alias nouveau off\n", -100, False),
    ],
)
def test_nouveau_at_boot(
    image: str, settings: str, age: int, expected: bool, tmp_path: Path
) -> None:
    kernel(tmp_path / "modules", "6.1.0", NOUVEAU)
    for folder, file, text in (("boot", image, ""), ("modprobe.d", "x.conf", settings)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text(text)
    changed = (tmp_path / "modprobe.d/x.conf").stat().st_mtime
    os.utime(tmp_path / "boot" / image, (changed - age, changed - age))
    places = (tmp_path / "modules", tmp_path / "boot", (tmp_path / "modprobe.d",))
    assert kernels.nouveau_at_boot("6.1.0", False, "quiet", *places) is expected
    off = "quiet modprobe.blacklist=floppy,nouveau"
    assert kernels.nouveau_at_boot("6.1.0", False, off, *places) is False


def test_a_loaded_module(tmp_path: Path) -> None:
    (tmp_path / "nouveau").mkdir()
    assert kernels.is_loaded("nouveau", tmp_path) and not kernels.is_loaded("nvidia", tmp_path)


def test_a_kernel_without_nouveau_does_not_load_it(tmp_path: Path) -> None:
    kernel(tmp_path, "6.1.0")
    places = (tmp_path, tmp_path, (tmp_path,))
    assert kernels.nouveau_at_boot("6.1.0", False, "", *places) is False
    # Unless it has, wherever from.
    assert kernels.nouveau_at_boot("6.1.0", True, "", *places) is True


STATUS = """\
Package: {}
Status: {}
Priority: optional
Architecture: amd64
Version: {}
Description: one
 Status: of no package
"""


def dpkg(folder: Path, *entries: tuple[str, str, str]) -> Path:
    """dpkg's list of packages."""
    (folder / "updates").mkdir(exist_ok=True)
    (folder / "status").write_text("\n".join(STATUS.format(*entry) for entry in entries))
    return folder


def test_packages_of_the_driver_and_which_are_held(tmp_path: Path) -> None:
    folder = dpkg(
        tmp_path,
        ("nvidia-open", "hold ok installed", "580.159.04-1"),
        ("bash", "hold ok installed", "5.2"),
        ("libnvidia-compute", "install ok installed", "580.159.04-1"),
        ("cuda-keyring", "install ok installed", "1.1-1"),
        ("nvidia-driver-535", "deinstall ok config-files", "535.1-1"),
        ("datacenter-gpu-manager-4-core", "install ok installed", "1:4.4.1-1"),
        ("linux-modules-nvidia-580-generic", "install ok installed", "6.8.0-45.1"),
    )
    found = packages.installed(folder)
    assert found.packages == {
        "cuda-keyring": "1.1-1",
        "datacenter-gpu-manager-4-core": "1:4.4.1-1",
        "libnvidia-compute": "580.159.04-1",
        "linux-modules-nvidia-580-generic": "6.8.0-45.1",
        "nvidia-open": "580.159.04-1",
    }
    assert (found.held, found.broken) == (("nvidia-open",), ())


@pytest.mark.parametrize(
    ("name", "brings"),
    [
        *((f"linux-image-{kind}", True) for kind in ("generic", "generic-hwe-24.04", "virtual")),
        *((f"linux-image-{kind}", True) for kind in ("azure-nvidia", "oem-24.04d", "rt-amd64")),
        *((name, True) for name in ("proxmox-default-kernel", "proxmox-kernel-6.8")),
        *((f"linux-image-{kind}", False) for kind in ("6.8.0-87-generic", "extra-virtual")),
        *((f"linux-image-{kind}", False) for kind in ("unsigned-6.8.0-87-generic", "amd64-dbg")),
        *((name, False) for name in ("linux-headers-generic", "proxmox-kernel-6.8.12-4-pve")),
    ],
)
def test_what_brings_new_kernels(name: str, brings: bool, tmp_path: Path) -> None:
    there = dpkg(tmp_path, (name, "install ok installed", "1"))
    assert packages.installed(there).kernels == ((name,) if brings else ())
    gone = dpkg(tmp_path, (name, "deinstall ok config-files", "1"))
    assert packages.installed(gone).kernels == ()


@pytest.mark.parametrize(
    "status",
    [
        "install ok half-configured",
        "install ok unpacked",
        "install ok triggers-pending",
        "install reinstreq half-installed",
        "deinstall ok half-installed",
        "install reinstreq installed",
    ],
)
def test_what_an_interrupted_dpkg_left(status: str, tmp_path: Path) -> None:
    dpkg(tmp_path, ("bash", "install ok installed", "1"), ("tzdata", status, "2"))
    assert packages.installed(tmp_path).broken == ("tzdata",)


def test_an_update_that_dpkg_has_not_merged_counts(tmp_path: Path) -> None:
    dpkg(tmp_path, ("nvidia-open", "install ok installed", "580.1-1"))
    entry = STATUS.format("nvidia-open", "install ok half-configured", "590.1-1")
    (tmp_path / "updates/0001").write_text(entry)
    assert packages.installed(tmp_path) == packages.GpuPackages({}, (), ("nvidia-open",))


def test_one_package_of_two_architectures(tmp_path: Path) -> None:
    """As with the 32-bit libraries of games, in either order, and removed again."""
    entries = [
        ("libnvidia-compute-580", "hold ok installed", "580.159.04-1"),
        ("libnvidia-compute-580", "deinstall ok config-files", "535.1-1"),
    ]
    for order in (entries, entries[::-1]):
        texts = [STATUS.format(*entry) for entry in order]
        foreign = texts[order.index(entries[1])]
        (tmp_path / "updates").mkdir(exist_ok=True)
        texts[order.index(entries[1])] = foreign.replace("amd64", "i386")
        (tmp_path / "status").write_text("\n".join(texts))
        name = "libnvidia-compute-580"
        assert packages.installed(tmp_path) == packages.GpuPackages({name: "580.159.04-1"}, (name,))


def test_a_system_without_dpkg(tmp_path: Path) -> None:
    assert packages.installed(tmp_path / "none") == packages.GpuPackages({})


def test_this_machine_s_dpkg_agrees() -> None:
    form = "${db:Status-Status} ${Package} ${Architecture} ${Version}\n"
    listed = ["dpkg-query", "--show", "--showformat", form]
    if not Path("/var/lib/dpkg/status").exists():
        pytest.skip("this machine has no dpkg")
    run = subprocess.run(listed, capture_output=True, text=True, check=True)
    known = {tuple(line.split(" ")[1:]) for line in run.stdout.splitlines()}
    found = packages._dpkg(packages.DPKG)
    assert {(*package, version) for package, (_, version) in found.items()} == known


def test_packages_of_rpm_and_their_locks() -> None:
    text = (
        "bash 5.1.8-9.el9\nnvidia-driver 580.95.05-1.el9\nkmod-nvidia-open-dkms 580.95.05-1.el9\n"
    )
    locks = "# by dnf\n\nnvidia-driver-3:580.95.05-1.el9.*\n!kmod-nvidia-open-dkms-3:590.1-1.*\n"
    found = packages.rpm_packages(text, locks)
    assert found.packages == {
        "kmod-nvidia-open-dkms": "580.95.05-1.el9",
        "nvidia-driver": "580.95.05-1.el9",
    }
    assert found.held == ("nvidia-driver",)
    assert packages.rpm_packages(text, "*nvidia*580*\n").held == tuple(found.packages)
    broken = packages.rpm_packages("error: cannot open Packages database\n", "")
    assert broken == packages.GpuPackages({})


XID = "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
LOST = "NVRM: GPU 0000:3b:00.0: GPU has fallen off the bus."


def test_errors_of_gpus_in_the_kernel_log() -> None:
    records = (
        f"6,1,2,-;Linux version 6\n SUBSYSTEM=pci\n4,7,9,-;{XID}\n4,8,9,c;{LOST}\n4,9,9,-;{XID}\n"
    )
    assert kernel_log.error_lines(records) == ([XID, LOST], [])
    loading = f"{LOST}\nNVRM: loading NVIDIA UNIX Open Kernel Module\n"
    assert kernel_log.error_lines(loading) == ([LOST], [])
    assert len(kernel_log.error_lines("\n".join(f"NVRM: Xid {n}" for n in range(999)))[0]) == 50


@pytest.mark.parametrize(
    "line",
    [
        "amdgpu 0000:c1:00.0: amdgpu: GPU reset begin!",
        "NVRM: Xid (PCI:0000:18:00): 94, pid=1234, name=python3, Contained: CE User Channel (0x9)",
        "NVRM: Xid (PCI:0000:18:00): 63, pid='<unknown>', name=<unknown>, Row Remapper: New row",
        "NVRM: Xid (PCI:0000:18:00): 119, pid=2345, name=nvidia-smi, Timeout after 45s of waiting",
        "NVRM: Xid (PCI:0000:18:00): 154, GPU recovery action changed from 0x0 (None) to 0x1",
        "NVRM: Xid (PCI:0000:18:00): 136, pid=13, a number that only begins like one",
        "nvidia-nvswitch0: SXid (PCI:0000:07:00.0): 24007, Fatal, Link 40 sourcetrack TCEN0",
        "NVRM: GPU 0000:18:00.0: RmInitAdapter failed! (0x62:0xffff:2477)",
        "NVRM: rm_init_adapter failed, device minor number 0",
    ],
)
def test_what_the_hardware_has(line: str) -> None:
    assert kernel_log.error_lines(line) == ([line], [])


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: Xid (PCI:0000:18:00): 13, pid=1234, Graphics SM Warp Exception on (GPC 0, TPC 0)",
        "NVRM: Xid (PCI:0000:18:00): 31, pid=1234, name=python3, Ch 00000008, MMU Fault: ENGINE",
        "NVRM: Xid (PCI:0000:18:00): 43, pid=1234, name=python3, Ch 00000010",
        "NVRM: Xid (PCI:0000:18:00): 45, pid=1234, name=python3, Ch 00000010",
        "NVRM: Xid (PCI:0000:18:00): 68, pid=1234, NVDEC0 Exception",
        "NVRM: Xid (PCI:0000:18:00): 109, pid=1234, name=python3, Ch 00000008, errorString CTX",
    ],
)
def test_what_an_application_has_done(line: str) -> None:
    assert kernel_log.error_lines(line) == ([], [line])
    # However many of these there are, what the card says is not lost among them.
    many = "\n".join(line.replace("1234", str(pid)) for pid in range(999))
    cards, applications = kernel_log.error_lines(f"{many}\n{XID}")
    assert (cards, len(applications)) == ([XID], 50)


@pytest.mark.parametrize(
    "line",
    [
        "nvidia-nvswitch3: SXid (PCI:0000:c5:00.0): 12028, Non-fatal, Link 46 egress non-posted",
        "NVRM: API mismatch: the client has the version 580.95.05, but",
    ],
)
def test_what_is_no_fault_of_a_card(line: str) -> None:
    assert kernel_log.error_lines(line) == ([], [])


def test_the_journal_is_asked_where_the_log_is_not_for_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_log, "run", lambda *command: (f"{LOST}\n", ""))
    (tmp_path / "kmsg").write_text(f"4,7,9,-;{XID}\n")
    assert kernel_log.errors(tmp_path / "kmsg") == ([XID], [])
    assert kernel_log.errors(tmp_path / "none") == ([LOST], [])
    os.mkfifo(tmp_path / "pipe")  # as in a container
    assert kernel_log.errors(tmp_path / "pipe") == ([LOST], [])


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({}, ""),
        ({"run/systemd/container": "systemd-nspawn\n", "proc/1/environ": "container=lxc\0"}, ""),
        ({"run/systemd/container": "lxc\n"}, "lxc"),
        ({"proc/1/environ": "PATH=/bin\0container=oci\0HOME=/\0"}, "oci"),
        ({".dockerenv": ""}, "docker"),
        ({"run/.containerenv": ""}, "podman"),
        ({"var/run/secrets/kubernetes.io/token": ""}, "kubernetes"),
        ({"proc/1/environ": "PATH=/bin\0not_container=oci\0"}, ""),
    ],
)
def test_what_made_a_container(files: dict[str, str], kind: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert container.kind(tmp_path) == kind


def test_a_tree_that_becomes_an_image_is_not_booted(tmp_path: Path) -> None:
    (tmp_path / "tree/proc/1").mkdir(parents=True)
    (tmp_path / "tree/proc/1/root").symlink_to(tmp_path)
    assert not container.is_booted(tmp_path / "tree")
    (tmp_path / "proc/1").mkdir(parents=True)
    (tmp_path / "proc/1/root").symlink_to(tmp_path)
    assert container.is_booted(tmp_path)
    assert not container.is_booted(tmp_path / "none")


class FileSystem:
    """What statvfs says of one."""

    f_frsize, f_files, f_favail = 4096, 1000, 500

    def __init__(self, blocks: int) -> None:
        self.f_blocks = self.f_bavail = blocks


def mounted(monkeypatch: pytest.MonkeyPatch, *lines: str, empty: str = "") -> list[str]:
    """Mount points that are reported of these lines; `empty` has no blocks."""
    text = "".join(f"{line}\n" for line in ("/dev/sda1 / ext4 rw 0 0", *lines))
    monkeypatch.setattr(machine, "read", lambda path: text)
    monkeypatch.setattr(os, "statvfs", lambda mount: FileSystem(0 if mount == empty else 9))
    return [disk["mount"] for disk in machine._disks()]


@pytest.mark.parametrize(
    "kind",
    [
        *("xfs", "zfs", "bcachefs", "exfat", "fuseblk", "nfs4", "cifs", "overlay"),
        *("lustre", "gpfs", "ceph", "beegfs", "wekafs", "virtiofs", "9p"),
        *("fuse.juicefs", "fuse.glusterfs", "fuse.mergerfs", "fuse.something-new"),
    ],
)
def test_any_file_system_that_can_hold_weights(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mounted(monkeypatch, f"from /data {kind} rw 0 0") == ["/", "/data"]


@pytest.mark.parametrize(
    ("mount", "counts"),
    [
        *((mount, True) for mount in ("/devdata", "/sysdata", "/runs", "/process", "/dev-models")),
        *((mount, True) for mount in ("/run/media/usb", "/run/media/me/usb")),
        *((mount, False) for mount in ("/dev", "/dev/shm", "/run", "/run/user/0", "/run/mediate")),
        *((mount, False) for mount in ("/proc/sys/fs", "/sys/firmware/efi/efivars")),
    ],
)
def test_mount_points_go_by_path(mount: str, counts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (mount in mounted(monkeypatch, f"x {mount} xfs rw 0 0")) is counts


def test_mount_points_are_written_with_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (r"x /mnt/my\040disk xfs rw 0 0", r"x /mnt/a\134040b xfs rw 0 0", "short line", "")
    assert mounted(monkeypatch, *lines) == ["/", "/mnt/my disk", r"/mnt/a\040b"]


def test_what_holds_no_files_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pseudo = "lxcfs /var/lib/lxcfs fuse.lxcfs rw 0 0"
    assert mounted(monkeypatch, pseudo, empty="/var/lib/lxcfs") == ["/"]
    assert mounted(monkeypatch, "systemd-1 /mnt/auto autofs rw 0 0") == ["/"]


def tool(folder: Path, name: str, text: str) -> None:
    """A program that this shell script stands for."""
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_what_a_tool_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tool(tmp_path, "well", 'echo "$1"')
    tool(tmp_path, "ill", "echo out; echo err >&2; exit 9")
    assert probe.run("well", "a b") == ("a b\n", "")
    assert probe.run("ill") == ("out\nerr\n", "ill ended with code 9")
    assert probe.run("not-there") == ("", "")
    (tmp_path / "broken").write_text("#!/no/such/interpreter\n")
    (tmp_path / "broken").chmod(0o755)
    assert probe.run("broken") == ("", "broken does not start: No such file or directory")


def test_a_tool_that_hangs_is_left_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(probe, "LIMIT", 0.3)
    tool(tmp_path, "hangs", "trap '' TERM; echo $$ > pid; sleep 60 & echo $! > child; wait")
    monkeypatch.chdir(tmp_path)
    assert probe.run("hangs") == ("", "hangs did not answer within 0.3 seconds")
    for file in ("pid", "child"):
        deadline = time.monotonic() + 10  # The signal was sent, not waited for.
        while _runs((tmp_path / file).read_text().strip()):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _runs(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_machine_without_gpus_starts_no_tool(tmp_path: Path) -> None:
    if pci.gpus():
        pytest.skip("this machine has a GPU")
    for name in ("nvidia-smi", "amd-smi", "rocm-smi", "npu-smi", "rpm", "systemctl", "journalctl"):
        tool(tmp_path, name, f"echo {name} >> {tmp_path}/asked")
    tool(tmp_path, "modinfo", f"echo modinfo >> {tmp_path}/asked")
    command = programs.inline("facts.machine", "modelrack-facts-machine", "/none").get_raw_value()
    path = f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    run = subprocess.run(
        ["sh", "-c", command],
        **{"env": {**os.environ, "PATH": path}, "capture_output": True, "text": True},
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["driver"]["error"] == ""
    assert not (tmp_path / "asked").exists()


FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.8.0.0/24 2 0 2
        |-- 10.8.0.0
           /24 link UNICAST
        |-- 10.8.0.5
           /32 host LOCAL
        |-- 10.8.0.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
Local:
        |-- 10.8.0.5
           /32 host LOCAL
        |-- 169.254.1.1
           /32 host LOCAL
        |-- 192.168.1.7
           /32 host LOCAL
"""
IF_INET6 = """\
fd000000000000000000000000000005 02 40 00 80     eth0
fe80000000000000021122fffe334455 02 40 20 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""


def test_its_own_addresses(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    assert network.own(tmp_path) == []
    (tmp_path / "net/fib_trie").write_text(FIB_TRIE)
    (tmp_path / "net/if_inet6").write_text(IF_INET6)
    assert network.own(tmp_path) == ["10.8.0.5", "192.168.1.7", "fd00::5"]
