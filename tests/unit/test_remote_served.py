"""Which units of a machine are model servers that we have set up."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.remote import served

OURS = "# Written by modelrack. One instance a service\n[Service]\n"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Units of ours, and an Ollama that somebody else has installed."""
    etc = tmp_path / "etc"
    (etc / "multi-user.target.wants").mkdir(parents=True)
    for name in ("vllm@.service", "llama-server@.service", "modelrack-peer.service"):
        (etc / name).write_text(OURS)
    (etc / "ollama.service").write_text("[Unit]\nDescription=Ollama Service\n")
    return etc


def enabled(etc: Path, *names: str) -> None:
    for name in names:
        (etc / "multi-user.target.wants" / name).symlink_to(etc / name)


def test_what_is_enabled(etc: Path) -> None:
    enabled(etc, "vllm@r1.service", "ollama.service", "modelrack-peer.service", "ssh.service")
    assert served.units(etc, ()) == ["vllm@r1.service"]
    (etc / "ollama.service").write_text(OURS)
    assert served.units(etc, ()) == ["ollama.service", "vllm@r1.service"]


@pytest.mark.parametrize("below", ["system.slice", "systemd/system.slice"])
def test_what_runs_and_is_not_enabled(etc: Path, tmp_path: Path, below: str) -> None:
    groups = tmp_path / "cgroup"
    (groups / below / "system-llama\\x2dserver.slice/llama-server@r1.service").mkdir(parents=True)
    (groups / below / "ssh.service").mkdir()
    enabled(etc, "llama-server@r1.service")
    assert served.units(etc, (groups, groups / "systemd")) == ["llama-server@r1.service"]
    (etc / "multi-user.target.wants/llama-server@r1.service").unlink()
    assert served.units(etc, (groups, groups / "systemd")) == ["llama-server@r1.service"]


def test_a_bare_machine(tmp_path: Path) -> None:
    assert served.units(tmp_path / "etc", (tmp_path / "cgroup",)) == []
