"""What the drivers' tools say of their cards: recorded answers, broken ones, and any text."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploys.planning.inputs.machine import Driver, Gpu, GpuLink
from deploys.remote.facts import amd, ascend, driver, nvidia, packages, topology
from deploys.remote.lib import probe
from tests.unit import UNIT

RECORDED = UNIT / "data" / "recorded"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (a@b)\n"
OLD = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.261.03  Wed Jul  2 21:46:06 UTC 2025\n"
MISMATCH = (
    "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 580.178\n"
)
NOT_LOADED = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that"
    " the latest NVIDIA driver is installed and running.\n"
)
FALLEN = "Unable to determine the device handle for GPU0000:B9:00.0: Unknown Error\n"
# An 8xH800's addresses, from its recorded table.
ADDRESSES = ("18", "3a", "4b", "5c", "84", "ac", "b3", "b9")


def recorded(file: str, command: str) -> str:
    """What a command printed on a real machine."""
    for part in (RECORDED / file).read_text().split("\n$ ")[1:]:
        asked, _, answer = part.partition("\n")
        if asked.strip().startswith(command):
            return f"{answer}\n"
    raise LookupError(command)


def row(index: int, address: str, *more: str) -> str:
    """A line of nvidia-smi's answer about an H800."""
    last = ", ".join(more or ("Enabled, Disabled, Disabled, 0, No",))
    return f"{index}, 00000000:{address}, NVIDIA H800, GPU-{index}, 81559, 4, 9.0, {last}\n"


def bus(*addresses: str, pci_id: str = "10de:2324") -> list[dict[str, Any]]:
    """Cards as the PCI bus shows them."""
    return [{"address": address, "pci_id": pci_id} for address in addresses]


H800S = bus(*(f"0000:{address}:00.0" for address in ADDRESSES))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (OPEN, ("580.159.04", "open")),
        (OLD, ("535.261.03", "proprietary")),
        (recorded("h200-x1.txt", "cat /proc/driver"), ("580.159.04", "open")),
        (OPEN.replace("x86_64", "aarch64"), ("580.159.04", "open")),
        (OLD.replace("535.261.03", "418.181.07"), ("418.181.07", "proprietary")),
        (OLD.replace("535.261.03", "595.45.04-beta"), ("595.45.04", "proprietary")),
        ("", (None, None)),
        ("GCC version:  gcc version 15.3.0 (GCC)\n", (None, None)),
    ],
)
def test_the_loaded_module(text: str, found: tuple[str | None, str | None]) -> None:
    assert nvidia.loaded(text) == found


@pytest.mark.parametrize("place", ["", "nvidia/current"])
def test_the_library_that_programs_load(place: str, tmp_path: Path) -> None:
    folder = tmp_path / "lib" / place
    folder.mkdir(parents=True)
    (folder / "libnvidia-ml.so.535.261.03").touch()
    (folder / "libnvidia-ml.so.1").symlink_to("libnvidia-ml.so.535.261.03")
    if place:
        (tmp_path / "lib/libnvidia-ml.so.1").symlink_to(folder / "libnvidia-ml.so.1")
    assert nvidia.userspace((str(tmp_path), str(tmp_path / "lib"))) == "535.261.03"


def test_the_library_is_found_where_the_linker_is_told_to_look(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.580.159.04").touch()
    (tmp_path / "libnvidia-ml.so.1").symlink_to("libnvidia-ml.so.580.159.04")
    assert nvidia.userspace((), tmp_path) is None
    (tmp_path / "nvidia.conf").write_text(f"# ours\ninclude x\n{tmp_path}\n")
    assert nvidia.userspace((), tmp_path) == "580.159.04"


def test_a_library_without_a_version_has_none(tmp_path: Path) -> None:
    assert nvidia.userspace((str(tmp_path),)) is None
    (tmp_path / "libnvidia-ml.so.1").touch()
    assert nvidia.userspace((str(tmp_path),)) is None


def test_cards_of_a_real_machine() -> None:
    asked, _, answer = (RECORDED / "h100-x2.txt").read_text().partition("\n")[2].partition("\n")
    assert asked.split("=")[1].split()[0] == ",".join(nvidia._FIELDS)
    rows, complaint = nvidia.cards(answer.split("\n$")[0])
    assert complaint == ""
    assert rows["0000:00:07.0"] == {
        "index": 1,
        "name": "NVIDIA H100 80GB HBM3",
        "broken": "",
        "uuid": "GPU-10000000-0000-0000-0000-000000000000",
        "memory": 81559 << 20,
        "used": 0,
        "compute": "9.0",
        "ecc": True,
        "mig": False,
        "persistence": True,
        "uncorrected": 0,
        "remap_pending": False,
    }


def test_a_card_that_has_no_such_thing() -> None:
    line = "0, 00000000:09:00.0, NVIDIA GeForce RTX 3090, GPU-x, 24576, 22943, 8.6"
    rows, complaint = nvidia.cards(f"{line}, [N/A], [N/A], Disabled, [N/A], [N/A]\n")
    card = rows["0000:09:00.0"]
    assert complaint == ""
    assert [card[key] for key in ("ecc", "mig", "uncorrected", "remap_pending")] == [None] * 4
    assert card["persistence"] is False


@pytest.mark.parametrize(
    "value", ["[GPU requires reset]", "[Unknown Error]", "ERR!", "[GPU is lost]"]
)
def test_a_card_that_does_not_answer_for_itself(value: str) -> None:
    rows, complaint = nvidia.cards(row(0, "18:00.0", f"Enabled, Disabled, Disabled, {value}, No"))
    assert rows["0000:18:00.0"]["uncorrected"] is None
    assert rows["0000:18:00.0"]["broken"] in value
    assert complaint == f"0000:18:00.0: {rows['0000:18:00.0']['broken']}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "NVIDIA H20, GPU-x, 97871, 3, 9.0, Enabled, Enabled, Enabled, 0, No",
            {"mig": True, "memory": 97871 << 20, "broken": ""},
        ),
        (
            "NVIDIA GeForce RTX 4090, GPU-x, 49140, 3, 8.9, [N/A], [N/A], Disabled, [N/A], [N/A]",
            {"memory": 49140 << 20, "mig": None, "ecc": None},
        ),
        (
            "NVIDIA A100, GPU-x, 81251, [Insufficient Permissions], 8.0, Enabled, Disabled,"
            " Enabled, [Insufficient Permissions], No",
            {"used": None, "uncorrected": None, "remap_pending": False, "broken": ""},
        ),
        (
            "NVIDIA L40S-24C, GPU-x, 24576, 0, 8.9, [N/A], Disabled, Enabled, [N/A], [N/A]",
            {"name": "NVIDIA L40S-24C", "memory": 24576 << 20},
        ),
    ],
)
def test_what_cards_of_every_kind_say(line: str, expected: dict[str, Any]) -> None:
    rows, complaint = nvidia.cards(f"0, 00000000:18:00.0, {line}\n")
    assert complaint == ""
    assert expected.items() <= rows["0000:18:00.0"].items()


def test_a_warning_before_the_cards_hides_none_of_them() -> None:
    warning = "WARNING: infoROM is corrupted at gpu 0000:18:00.0"
    rows, complaint = nvidia.cards(f"{warning}\n{row(0, '18:00.0')}")
    assert ([*rows], complaint) == (["0000:18:00.0"], warning)


@pytest.mark.parametrize("nothing", ["[N/A]", "Not Supported", "[Insufficient Permissions]"])
def test_a_card_that_has_no_memory_of_its_own(nothing: str) -> None:
    """GB10 shares the host's, and is in a PCI domain of its own; that is no fault of it."""
    line = f"0, 0000000F:01:00.0, NVIDIA GB10, GPU-x, {nothing}, {nothing}, 12.1"
    rows, complaint = nvidia.cards(f"{line}, [N/A], [N/A], Enabled, [N/A], [N/A]\n")
    card = rows["000f:01:00.0"]
    assert (card["memory"], card["used"], card["compute"]) == (None, None, "12.1")
    assert (card["broken"], complaint) == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        MISMATCH,
        NOT_LOADED,
        "No devices were found\n",
        "Failed to initialize NVML: Insufficient Permissions\n",
        "Failed to initialize NVML: Unknown Error\n",  # its cgroup was taken away
        "Unable to determine the device handle for GPU1: 0000:3B:00.0: GPU is lost.  Reboot\n",
        row(0, "18:00.0").replace("H800", "H800, special"),
        recorded("rtx4090-x8.txt", "nvidia-smi"),
        recorded("h800-x8.txt", "nvidia-smi"),
    ],
)
def test_what_is_no_answer_is_a_complaint(text: str) -> None:
    rows, complaint = nvidia.cards(text)
    assert rows == {}
    assert complaint.startswith(text.strip().splitlines()[0].strip()) and len(complaint) <= 300


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("rtx3090-x2.txt", [{"first": 0, "second": 1, "kind": "NV4"}]),
        ("h100-x2.txt", [{"first": 0, "second": 1, "kind": "NV18"}]),
        ("h200-x1.txt", []),
    ],
)
def test_links_of_a_real_machine(file: str, expected: list[dict[str, Any]]) -> None:
    assert topology.links(recorded(file, "nvidia-smi topo -m")) == expected


def test_links_beside_network_cards() -> None:
    table = (
        "\tGPU0\tGPU1\tGPU2\tNIC0\tCPU Affinity\n"
        "GPU0\t X \tPIX\tSYS\tPXB\t0-31\nGPU1\tPIX\t X \tNODE\tPXB\t0-31\n"
        "GPU2\tSYS\tNODE\t X \tSYS\t32-63\nNIC0\tPXB\tPXB\tSYS\t X \t\n\n"
        "NIC Legend:\n\n  NIC0: mlx5_0\n"
    )
    kinds = {(link["first"], link["second"]): link["kind"] for link in topology.links(table)}
    assert kinds == {(0, 1): "PIX", (0, 2): "SYS", (1, 2): "NODE"}


def smi(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: str, name: str = "nvidia-smi"
) -> None:
    """Install that tool; it writes down how it is called."""
    (folder / name).write_text(f'#!/bin/sh\necho "$*" >> {folder}/calls\n{script}\n')
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def test_nvidia_smi_is_called_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "topo").write_text(recorded("h100-x2.txt", "nvidia-smi topo -m"))
    answer = recorded("h100-x2.txt", "nvidia-smi --query-gpu")
    (tmp_path / "query").write_text(answer)
    folder = str(tmp_path)
    smi(tmp_path, monkeypatch, f"[ $1 = topo ] && cat {folder}/topo || cat {folder}/query")
    gpus = bus("0000:00:06.0", "0000:00:07.0", pci_id="10de:2330")
    links, error = nvidia.add_driver_details(gpus)
    assert ([gpu["index"] for gpu in gpus], len(links), error) == ([0, 1], 1, "")
    query = f"--query-gpu={','.join(nvidia._FIELDS)} --format=csv,noheader,nounits"
    assert calls(tmp_path) == [query, "topo -m"]


def test_an_older_driver_is_asked_without_the_last_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = recorded(
        "h100-x2.txt", "nvidia-smi --query-gpu=" + ",".join(nvidia._FIELDS[:-1]) + ",n"
    )
    (tmp_path / "unknown").write_text(unknown.replace("nonsense", "remapped_rows.pending"))
    (tmp_path / "query").write_text(row(0, "18:00.0", "Enabled, Disabled, Disabled, 0"))
    script = f"case $1 in *remap*) cat {tmp_path}/unknown; exit 2;; *) cat {tmp_path}/query;; esac"
    smi(tmp_path, monkeypatch, script)
    gpus = bus("0000:18:00.0")
    assert nvidia.add_driver_details(gpus) == ([], "")
    assert (gpus[0]["uncorrected"], gpus[0]["remap_pending"]) == (0, None)
    assert len(calls(tmp_path)) == 2


def test_a_driver_of_2021_knows_neither_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """470 is from before compute_cap, and each time names the first field that it does not know."""
    line = "0, 00000000:18:00.0, Tesla V100, GPU-x, 32510, 0, Enabled, [N/A], Enabled, 0"
    unknown = 'echo "Field \\"$field\\" is not a valid field to query."; exit 2'
    fields = "compute_cap remapped_rows.pending"
    ask = f'for field in {fields}; do case "$1" in *$field*) {unknown};; esac; done'
    smi(tmp_path, monkeypatch, f"{ask}; echo '{line}'")
    gpus = bus("0000:18:00.0", pci_id="10de:1db5")
    assert nvidia.add_driver_details(gpus) == ([], "")
    assert (gpus[0]["name"], gpus[0]["compute"]) == ("Tesla V100", None)
    assert (gpus[0]["memory"], gpus[0]["remap_pending"]) == (32510 << 20, None)


def test_a_fallen_gpu_is_one_without_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(row(n, f"{address.upper()}:00.0") for n, address in enumerate(ADDRESSES[:-1]))
    (tmp_path / "query").write_text(rows + FALLEN)
    smi(tmp_path, monkeypatch, f"[ $1 = topo ] || cat {tmp_path}/query; exit 255")
    gpus = [dict(gpu) for gpu in H800S]
    _, error = nvidia.add_driver_details(gpus)
    assert error == FALLEN.strip()
    assert [gpu.get("index") for gpu in gpus] == [0, 1, 2, 3, 4, 5, 6, None]
    assert gpus[7] == H800S[7]


def test_a_driver_that_hangs_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LIMIT", 0.2)
    smi(tmp_path, monkeypatch, "sleep 60")
    gpus = bus("0000:18:00.0", "0000:3a:00.0")
    expected = ([], "nvidia-smi did not answer within 0.2 seconds")
    assert nvidia.add_driver_details(gpus) == expected
    assert len(calls(tmp_path)) == 1


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A machine without any tool, whose files in /proc are those of the dictionary."""
    files: dict[str, str] = {}
    monkeypatch.setattr(driver, "read", lambda path: files.get(path, ""))
    monkeypatch.setattr(packages, "installed", lambda: packages.GpuPackages({}))
    monkeypatch.setattr(packages, "RPM", tmp_path / "rpm")
    monkeypatch.setattr(driver.kernels, "installed", lambda running, nvidia: [])
    monkeypatch.setattr(driver.kernel_log, "errors", lambda: ([], []))
    monkeypatch.setenv("PATH", str(tmp_path))
    return files


def test_a_machine_without_any_driver(machine: dict[str, str]) -> None:
    report = driver.report([dict(gpu) for gpu in H800S])
    assert Driver(**report["driver"]) == Driver(held=())
    assert [Gpu(**gpu).index for gpu in report["gpus"]] == [None] * 8
    assert (report["links"], report["nouveau"]) == ([], False)


def test_a_driver_whose_module_is_not_loaded(
    machine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "said").write_text(NOT_LOADED)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    smi(tmp_path, monkeypatch, f"cat {tmp_path}/said; exit 9")
    monkeypatch.setattr(driver.nvidia, "userspace", lambda: "580.159.04")
    found = driver.report(bus("0000:18:00.0"))["driver"]
    assert (found["loaded"], found["flavour"], found["userspace"]) == (None, None, "580.159.04")
    assert found["error"] == NOT_LOADED.strip()


def test_a_library_of_another_version_than_the_module(
    machine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine["/proc/driver/nvidia/version"] = OPEN
    (tmp_path / "said").write_text(MISMATCH)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    smi(tmp_path, monkeypatch, f"cat {tmp_path}/said; exit 18")
    found = driver.report(bus("0000:18:00.0"))["driver"]
    assert (found["loaded"], found["flavour"]) == ("580.159.04", "open")
    assert found["error"] == MISMATCH.strip().replace("\n", "; ")


@pytest.mark.parametrize("loaded", [True, False])
def test_nouveau_that_is_loaded_would_be_again(
    loaded: bool, machine: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver.kernels, "is_loaded", lambda module: loaded and module == "nouveau")
    monkeypatch.setattr(driver.kernels, "nouveau_at_boot", lambda running, now, line: now)
    report = driver.report(bus("0000:18:00.0"))
    assert (report["nouveau"], report["nouveau_in_initramfs"]) == (loaded, loaded)
    # Without a card of NVIDIA's nobody cares.
    assert driver.report([])["nouveau_in_initramfs"] is False


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("nvidia-fabricmanager", "580.159.04-1", "580.159.04"),
        ("nvidia-fabricmanager-550", "550.90.12-0ubuntu1", "550.90.12"),
        ("nvidia-fabric-manager", "3:535.261.03-1", "535.261.03"),
        ("nvidia-fabricmanager-dev", "580.159.04-1", None),
    ],
)
@pytest.mark.parametrize("state", ["active", "failed"])
def test_the_fabric_manager(
    state: str,
    name: str,
    version: str,
    expected: str | None,
    machine: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        packages, "installed", lambda: packages.GpuPackages({name: version}, (name,), ("x",))
    )
    monkeypatch.setattr(driver, "run", lambda *command: (f"{state}\n", ""))
    report = driver.report([])
    assert report["driver"]["fabric_manager"] == expected
    assert report["driver"]["fabric_manager_active"] is (expected is not None and state == "active")
    assert (report["driver"]["held"], report["broken_packages"]) == ((name,), ("x",))


def test_a_system_of_rpm_packages(
    machine: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rpm").mkdir()
    monkeypatch.setattr(packages, "run", lambda *command: ("nvidia-driver 580.1-1.el9\n", ""))
    monkeypatch.setattr(packages, "VERSION_LOCKS", tmp_path / "locks")
    (tmp_path / "locks").write_text("nvidia-driver-3:580.1-1.el9.*\n")
    found = driver.report(bus("0000:18:00.0"))["driver"]
    assert (found["packages"], found["held"]) == (
        {"nvidia-driver": "580.1-1.el9"},
        ("nvidia-driver",),
    )
    assert driver.report([])["driver"]["packages"] == {}


AMD = {
    "gpu": 0,
    "asic": {
        "market_name": "AMD Instinct MI300X",
        "asic_serial": "0x6F",
        "target_graphics_version": "gfx942",
    },
    "bus": {"bdf": "0000:C1:00.0", "max_pcie_width": 16},
}


@pytest.mark.parametrize(
    "text", [json.dumps([AMD]), "WARNING: x\n" + json.dumps({"gpu_data": [AMD]})]
)
def test_amd_smi_in_both_its_forms(text: str) -> None:
    card = {"index": 0, "name": "AMD Instinct MI300X", "uuid": "0x6F", "compute": "gfx942"}
    assert amd.cards(text) == {"0000:c1:00.0": card}


def test_amd_s_older_tool() -> None:
    text = {
        "card1": {"PCI Bus": "0000:C1:00.0", "Card Series": "MI300X", "GFX Version": "gfx942"},
        "system": {"Driver version": "6.7.0"},
    }
    card = {"index": 1, "name": "MI300X", "uuid": None, "compute": "gfx942"}
    assert amd.rocm_cards(json.dumps(text)) == {"0000:c1:00.0": card}


def test_links_between_amd_cards() -> None:
    links = [{"gpu": 0, "link_type": "SELF"}, {"gpu": 1, "link_type": "XGMI"}]
    text = json.dumps([{"gpu": 0, "links": links}, {"gpu": 1, "links": links[:1]}])
    assert [GpuLink(**link) for link in amd.links(text)] == [
        GpuLink(first=0, second=1, kind="XGMI")
    ]


def test_amd_cards_are_completed_from_sysfs_and_the_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0000:c1:00.0").mkdir()
    (tmp_path / "0000:c1:00.0/mem_info_vram_total").write_text("206141652992\n")
    (tmp_path / "0000:c1:00.0/mem_info_vram_used").write_text("297791488\n")
    monkeypatch.setattr(amd, "run", lambda *command: (json.dumps([AMD]), ""))
    gpus = bus("0000:c1:00.0", pci_id="1002:74a1")
    assert amd.add_driver_details(gpus, tmp_path) == ([], "")
    assert (gpus[0]["memory"], gpus[0]["used"]) == (206_141_652_992, 297_791_488)
    assert gpus[0]["name"] == "AMD Instinct MI300X"


def test_amd_s_tool_where_rocm_puts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"/opt/rocm/bin/amd-smi": (json.dumps([AMD]), "")}
    monkeypatch.setattr(amd, "run", lambda tool, *words: answers.get(tool, ("", "")))
    gpus = bus("0000:c1:00.0", pci_id="1002:74a1")
    assert amd.add_driver_details(gpus)[1] == "" and gpus[0]["index"] == 0
    # One that is on the path and fails is the one whose complaint counts.
    answers["amd-smi"] = ("", "amd-smi ended with code 1")
    assert (
        amd.add_driver_details(bus("0000:c1:00.0", pci_id="1002:74a1"))[1]
        == "amd-smi ended with code 1"
    )


def test_the_device_that_amd_s_cards_compute_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not amd.has_kfd(tmp_path / "kfd")
    (tmp_path / "kfd").touch()
    assert amd.has_kfd(tmp_path / "kfd")
    monkeypatch.setattr(amd, "run", lambda *command: ("", ""))
    monkeypatch.setattr(amd, "has_kfd", lambda: True)
    amd_card = driver.report(bus("0000:c1:00.0", pci_id="1002:74a1"))
    assert amd_card["driver"]["kfd"] is True and driver.report([])["driver"]["kfd"] is None


@pytest.mark.parametrize("version", ["24.1.rc2", "25.5.2", "26.0.0"])
def test_the_driver_version_that_npu_smi_shows(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ascend, "run", lambda *command: (NPU.replace("24.1.0", version), ""))
    assert ascend.add_driver_details(bus("0000:c1:00.0", pci_id="19e5:d802"))[0] == version


# The form that npu-smi 24.1 and later print, shortened to two cards.
NPU = """\
+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.0                   Version: 24.1.0                                               |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B3               | OK            | 101.8       43                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          3318 / 65536         |
+===========================+===============+====================================================+
| 1     910B3               | Alarm         | 92.0        39                0    / 0             |
| 0                         | 0000:01:00.0  | 0           0    / 0          33126/ 65536         |
+===========================+===============+====================================================+
| NPU     Chip              | Process id    | Process name       | Process memory(MB)            |
| 0       0                 | 1712733       | sglang             | 48954                         |
"""


def test_npu_smi() -> None:
    rows, complaint = ascend.cards(NPU)
    assert complaint == "0000:01:00.0: health is Alarm"
    card = {"index": 0, "name": "910B3", "used": 3318 << 20, "memory": 65536 << 20}
    assert rows["0000:c1:00.0"] == card
    assert (rows["0000:01:00.0"]["index"], rows["0000:01:00.0"]["used"]) == (1, 33126 << 20)


def test_the_toolkit_of_cann_is_the_newer_of_two(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    homes = (tmp_path / "cann", tmp_path / "ascend-toolkit/latest")
    assert ascend.toolkit(homes) is None
    for home, version in ((homes[1], "8.3.RC1"), (homes[0], "9.0.0")):
        note = home / "aarch64-linux/ascend_toolkit_install.info"
        note.parent.mkdir(parents=True)
        note.write_text(f"package_name=Ascend-cann-toolkit\nversion={version}\narch=aarch64\n")
        assert ascend.toolkit(homes) == version


def test_ascend_cards_and_their_links(monkeypatch: pytest.MonkeyPatch) -> None:
    table = "\t  NPU0   NPU1   CPU Affinity\nNPU0   X   HCCS   144-167\nNPU1   HCCS   X   0-23\n"
    answers = {("info",): NPU, ("info", "-t", "topo"): table}
    monkeypatch.setattr(ascend, "run", lambda tool, *words: (answers[words], ""))
    gpus = bus("0000:c1:00.0", "0000:01:00.0", pci_id="19e5:d802")
    version, links, error = ascend.add_driver_details(gpus)
    assert (version, error) == ("24.1.0", "0000:01:00.0: health is Alarm")
    assert links == [{"first": 0, "second": 1, "kind": "HCCS"}]


# Whatever a tool prints, there is a value or a complaint, and the machine can still be described.

WORDS = st.sampled_from([
    *("GPU0", "GPU1", "NPU0", " X ", "NV18", "\t", "\n", ", ", "|", "/", " ", "[N/A]", "Enabled"),
    *("00000000:18:00.0", "0000:C1:00.0", "910B3", "81559", "9.0", "-1", "9" * 5000, "²"),
    *("{", "}", "[", "]", '"gpu"', '"links"', ":", "null", "card0", '"gpu_data"', "NVRM version:"),
    *("Kernel Module", "580.1.2", "OK"),
])  # fmt: skip
TEXT = st.one_of(st.text(), st.lists(WORDS).map("".join))
ROWS = st.lists(
    st.lists(st.one_of(WORDS, st.text()), min_size=12, max_size=12).map(
        lambda values: ", ".join([values[0], "00000000:18:00.0", *values[2:]])
    )
).map("\n".join)


@given(st.one_of(TEXT, ROWS))
def test_any_text_of_nvidia_smi_is_read(text: str) -> None:
    rows, complaint = nvidia.cards(text)
    assert rows or complaint or not text.strip()
    for address, card in rows.items():
        Gpu(address=address, pci_id="10de:2324", **card)
    for link in topology.links(text):
        assert GpuLink(**link).first < GpuLink(**link).second
    nvidia.loaded(text)


@given(TEXT)
def test_any_text_of_the_other_tools_is_read(text: str) -> None:
    found = [
        *amd.cards(text).items(),
        *amd.rocm_cards(text).items(),
        *ascend.cards(text)[0].items(),
    ]
    for address, card in found:
        Gpu(address=address, pci_id="1002:74a1", **card)
    for link in amd.links(text):
        GpuLink(**link)


@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), st.text()),
        lambda inner: st.one_of(
            st.lists(inner),
            st.dictionaries(
                st.sampled_from(["gpu", "asic", "bus", "bdf", "links", "gpu_data", "card0"]), inner
            ),
        ),
    )
)
def test_any_json_of_amd_s_tools_is_read(data: Any) -> None:
    text = json.dumps(data)
    amd.cards(text), amd.rocm_cards(text), amd.links(text)
