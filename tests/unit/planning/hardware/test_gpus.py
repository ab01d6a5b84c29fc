"""The hardware table: names and PCI ids are unambiguous, figures are of the right kind."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.hardware.gpus import ACCELERATORS, Accelerator, by_pci_id, named
from deploys.planning.inputs.refusal import Refusal
from tests.unit.planning.hardware.card_examples import OWN

EVERY = pytest.mark.parametrize("gpu", ACCELERATORS.values(), ids=ACCELERATORS.keys())


# Rebuilt boards, and such as their maker gave more memory: behind the dash. A100-40 is no such one.
MORE = re.compile(r"RTX .+-(?:22|48|72)")


def test_a_pci_id_names_one_accelerator() -> None:
    """And others that are the same but for more memory."""
    ids = Counter(
        pci_id
        for gpu in ACCELERATORS.values()
        for pci_id in gpu.pci_ids
        if not MORE.fullmatch(gpu.name)
    )
    assert [pci_id for pci_id, count in ids.items() if count > 1] == []
    for gpu in ACCELERATORS.values():
        if MORE.fullmatch(gpu.name):
            usual = named(gpu.name.rpartition("-")[0])
            assert (usual.pci_ids, usual.compute) == (gpu.pci_ids, gpu.compute)
            assert usual.memory < gpu.memory


@EVERY
def test_every_pci_id_leads_back_to_its_entry(gpu: Accelerator) -> None:
    for pci_id in gpu.pci_ids:
        assert re.fullmatch(r"[0-9a-f]{4}:[0-9a-f]{4}", pci_id)
        assert by_pci_id(pci_id) is (
            named(gpu.name.rpartition("-")[0]) if MORE.fullmatch(gpu.name) else gpu
        )
        assert by_pci_id(pci_id, gpu) is gpu
    if not gpu.pci_ids:
        assert "PCI id not confirmed" in gpu.source


@EVERY
def test_vendor_and_pci_vendor_agree(gpu: Accelerator) -> None:
    vendors = {"nvidia": "10de", "amd": "1002", "huawei": "19e5", "hygon": "1d94"}
    assert {pci_id[:4] for pci_id in gpu.pci_ids} <= {vendors[gpu.vendor]}


@EVERY
def test_figures_have_the_units_that_the_table_promises(gpu: Accelerator) -> None:
    assert 4 << 30 <= gpu.memory < 300 << 30
    assert 1e11 < gpu.bandwidth < 1e13
    assert gpu.link in {"nvswitch", "nvlink-pair", "pcie", "xgmi", "hccs"}
    assert gpu.source


@EVERY
def test_only_links_of_their_own_have_a_bandwidth(gpu: Accelerator) -> None:
    assert (gpu.link_bandwidth is None) == (gpu.link == "pcie")
    assert gpu.link_bandwidth is None or 1e11 < gpu.link_bandwidth < 2e12


@EVERY
def test_geforce_boards_cannot_copy_to_each_other_over_pcie(gpu: Accelerator) -> None:
    boards = r"[RG]TX (\d0[5-9]0|1650)( Ti| D| D v2)?(-\d\d)?"
    assert gpu.p2p != bool(re.fullmatch(boards, gpu.name))


@EVERY
def test_generation_and_low_precision_agree(gpu: Accelerator) -> None:
    assert gpu.fp4 == (gpu.generation == "blackwell")
    assert gpu.fp8 == (gpu.generation in {"ada", "hopper", "blackwell", "cdna3", "rdna4"})


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
        ("10de:232c", "H20-141", 143771),
        ("10de:2348", "GH200-144", 146831),
        ("10de:2b87", "RTX 5090 D", 32607),
        ("10de:2bb1", "RTX PRO 6000", 97887),
        ("10de:2bb3", "RTX PRO 5000", 48935),
        ("10de:3182", "B300", 275040),
        ("10de:27b8", "L4", 23034),
        ("10de:1eb8", "T4", 15360),
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
        ("B300", True, True),
        ("GB10", True, True),
        ("T4", False, False),
        ("A40", False, False),
        ("L4", True, False),
        ("Radeon AI PRO R9700", True, False),
        ("Radeon PRO W7900", False, False),
        ("MI300X", True, False),
        ("Ascend 910B", False, False),
    ],
)
def test_native_low_precision(name: str, fp8: bool, fp4: bool) -> None:
    assert (named(name).fp8, named(name).fp4) == (fp8, fp4)


def test_a_device_that_is_not_in_the_table_is_unknown() -> None:
    assert by_pci_id("10de:22a3") is None  # an NVSwitch


def test_an_inventory_describes_what_the_table_does_not_have() -> None:
    assert named(OWN) is OWN
    assert by_pci_id("10de:2bb9") is None and by_pci_id("10de:2bb9", OWN) is OWN
    assert (OWN.link, OWN.link_bandwidth, OWN.source) == ("pcie", None, "the inventory")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"pci_ids": ("2bb9",)},
            "pci_ids is ('2bb9',), which is no tuple of ids such as 10de:2b85",
        ),
        ({"pci_ids": "10de:2bb9"}, "pci_ids is '10de:2bb9'"),
        ({"pci_ids": ()}, "pci_ids is ()"),
        ({"memory": 84}, "memory is 84, which is no number of bytes of a card"),
        ({"bandwidth": 1400}, "bandwidth is 1400"),
        ({"generation": "rubin"}, "generation is 'rubin'"),
        ({"vendor": "intel"}, "vendor is 'intel'"),
        ({"link": "ethernet"}, "link is 'ethernet', which is no link: nvswitch"),
    ],
)
def test_a_description_that_cannot_be_meant_so(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal) as refusal:
        named(replace(OWN, **fields))
    assert said in refusal.value.reason


def test_a_wrong_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(Refusal, match="did you mean 'RTX 4090'") as refusal:
        named("RTX4090")
    assert all(name in refusal.value.hint for name in ACCELERATORS)
