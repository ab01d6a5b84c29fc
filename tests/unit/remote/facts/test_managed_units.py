"""Which units of a machine are model servers that we have set up."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.planning import unit_names
from deploys.remote.facts import managed_units

OURS = "# Written by modelrack. One instance a service\n[Service]\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Units of ours, and an Ollama that somebody else has installed."""
    etc = tmp_path / "etc"
    (etc / "multi-user.target.wants").mkdir(parents=True)
    for name in ("vllm@.service", "llama-server@.service", unit_names.PEER):
        (etc / name).write_text(OURS)
    (etc / "ollama.service").write_text("[Unit]\nDescription=Ollama Service\n")
    return etc


def enabled(etc: Path, *names: str) -> None:
    for name in names:
        (etc / "multi-user.target.wants" / name).symlink_to(etc / name)


def test_what_is_enabled(etc: Path) -> None:
    enabled(etc, "vllm@r1.service", "ollama.service", unit_names.PEER, "ssh.service")
    assert managed_units.units(etc, ()) == ["vllm@r1.service"]
    (etc / "ollama.service").write_text(OURS)
    assert managed_units.units(etc, ()) == ["ollama.service", "vllm@r1.service"]


@pytest.mark.parametrize("below", ["system.slice", "systemd/system.slice"])
def test_what_runs_and_is_not_enabled(etc: Path, tmp_path: Path, below: str) -> None:
    groups = tmp_path / "cgroup"
    (groups / below / "system-llama\\x2dserver.slice/llama-server@r1.service").mkdir(parents=True)
    (groups / below / "ssh.service").mkdir()
    enabled(etc, "llama-server@r1.service")
    assert managed_units.units(etc, (groups, groups / "systemd")) == ["llama-server@r1.service"]
    (etc / "multi-user.target.wants/llama-server@r1.service").unlink()
    assert managed_units.units(etc, (groups, groups / "systemd")) == ["llama-server@r1.service"]


def test_the_cards_that_units_were_given(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    for name, line in {
        "services/r1.env": "CUDA_DEVICE_ORDER=PCI_BUS_ID\nCUDA_VISIBLE_DEVICES=4,5\nCUDA_HOME=/opt",
        "services/small.env": "CUDA_VISIBLE_DEVICES=7",
        "services/no.more.env": "CUDA_VISIBLE_DEVICES=0",
        "services/cpu.env": "CUDA_VISIBLE_DEVICES=",
        "ollama.env": "CUDA_VISIBLE_DEVICES=-1",
    }.items():
        (tmp_path / name).write_text(line + "\n")
    units = ["vllm@r1.service", "llama-server@small.service", "llama-server@cpu.service"]
    assert managed_units.cards(units, tmp_path) == [4, 5, 7]
    assert managed_units.cards(["ollama.service", "vllm@gone.service"], tmp_path) == []
    (tmp_path / "services/radeon.env").write_text("MODELRACK_CARDS=0,3\n")
    assert managed_units.cards(["llama-server@radeon.service"], tmp_path) == [0, 3]
    (tmp_path / "ollama.env").write_text("CUDA_VISIBLE_DEVICES=2\n")
    assert managed_units.cards(["ollama.service"], tmp_path) == [2]


def test_a_bare_machine(tmp_path: Path) -> None:
    assert managed_units.units(tmp_path / "etc", (tmp_path / "cgroup",)) == []
