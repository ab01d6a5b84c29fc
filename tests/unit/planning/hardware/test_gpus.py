"""The hardware table: names and PCI ids are unambiguous, figures are of the right kind."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from deploys.planning.hardware.gpus import ACCELERATORS, Accelerator, by_pci_id, named
from deploys.planning.inputs.refusal import Refusal

EVERY = pytest.mark.parametrize("gpu", ACCELERATORS.values(), ids=ACCELERATORS.keys())


def test_a_pci_id_names_one_accelerator() -> None:
    ids = Counter(pci_id for gpu in ACCELERATORS.values() for pci_id in gpu.pci_ids)
    assert [pci_id for pci_id, count in ids.items() if count > 1] == []


@EVERY
def test_every_pci_id_leads_back_to_its_entry(gpu: Accelerator) -> None:
    for pci_id in gpu.pci_ids:
        assert re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", pci_id)
        assert by_pci_id(pci_id) is gpu
    if not gpu.pci_ids:
        assert "PCI id not confirmed" in gpu.source


@EVERY
def test_vendor_and_pci_vendor_agree(gpu: Accelerator) -> None:
    vendors = {"nvidia": "10de", "amd": "1002", "huawei": "19e5", "hygon": "1d94"}
    assert {pci_id[:4] for pci_id in gpu.pci_ids} <= {vendors[gpu.vendor]}


@EVERY
def test_figures_have_the_units_that_the_table_promises(gpu: Accelerator) -> None:
    assert 15 << 30 < gpu.memory < 300 << 30
    assert 5e11 < gpu.bandwidth < 1e13
    assert gpu.link in {"nvswitch", "nvlink-pair", "pcie", "xgmi", "hccs"}
    assert gpu.source


@EVERY
def test_only_links_of_their_own_have_a_bandwidth(gpu: Accelerator) -> None:
    assert (gpu.link_bandwidth is None) == (gpu.link == "pcie")
    assert gpu.link_bandwidth is None or 1e11 < gpu.link_bandwidth < 2e12


@EVERY
def test_geforce_boards_cannot_copy_to_each_other_over_pcie(gpu: Accelerator) -> None:
    assert gpu.p2p != bool(re.fullmatch(r"RTX \d0\d0( D)?", gpu.name))


@EVERY
def test_generation_and_low_precision_agree(gpu: Accelerator) -> None:
    assert gpu.fp4 == (gpu.generation == "blackwell")
    assert gpu.fp8 == (gpu.generation in {"ada", "hopper", "blackwell", "cdna3"})


@EVERY
def test_boards_in_pcie_form_have_no_nvswitch(gpu: Accelerator) -> None:
    if "PCIe" in gpu.name or "NVL" in gpu.name:
        assert gpu.link == "pcie"


@EVERY
def test_fp4_implies_fp8(gpu: Accelerator) -> None:
    assert gpu.fp8 or not gpu.fp4


@pytest.mark.parametrize(
    ("pci_id", "name", "mebibytes"),
    [
        ("10de:2324", "H800", 81559),
        ("10de:2335", "H200", 143771),
        ("10de:2204", "RTX 3090", 24576),
        ("10de:2684", "RTX 4090", 24564),
        ("10de:20b0", "A100-40", 40536),
        ("10de:1db1", "V100-16", 16130),
        ("10de:2321", "H100 NVL", 95830),
        ("10de:233b", "H200 NVL", 143771),
    ],
)
def test_memory_is_what_machines_report(pci_id: str, name: str, mebibytes: int) -> None:
    gpu = by_pci_id(pci_id)
    assert gpu is named(name)
    assert gpu.memory == mebibytes * 2**20


@pytest.mark.parametrize(
    ("name", "fp8", "fp4"),
    [
        ("V100", False, False),
        ("A100", False, False),
        ("RTX 3090", False, False),
        ("RTX 4090", True, False),
        ("L40S", True, False),
        ("H20", True, False),
        ("RTX 5090", True, True),
        ("B200", True, True),
        ("MI300X", True, False),
        ("Ascend 910B", False, False),
    ],
)
def test_native_low_precision(name: str, fp8: bool, fp4: bool) -> None:
    assert (named(name).fp8, named(name).fp4) == (fp8, fp4)


def test_a_device_that_is_not_in_the_table_is_unknown() -> None:
    assert by_pci_id("10de:22a3") is None  # an NVSwitch


def test_a_wrong_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(Refusal, match="did you mean 'RTX 4090'") as refusal:
        named("RTX4090")
    assert all(name in refusal.value.hint for name in ACCELERATORS)
