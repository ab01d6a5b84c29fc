"""An image that cannot be made is refused before anything is; tests/vm makes and boots one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.e2e.rack import PROJECT, run

IMAGE = [sys.executable, "-m", "deploys.image", str(PROJECT / "inventories/cpu.py")]


@pytest.mark.parametrize(
    "options, said",
    [
        (["--name", "Rack 1"], "is no name for an image"),
        (["--system", "debian 11"], "Give --system, one of: debian 12"),
        ([], "golden.json. Name a file that is there"),
    ],
)
def test_an_image_is_refused_and_nothing_is_made(
    tmp_path: Path, options: list[str], said: str
) -> None:
    key = tmp_path / "key"
    key.touch()
    output = tmp_path / "images"
    given = ["--golden", str(tmp_path / "golden.json"), "--key", str(key)]
    refused = run([*IMAGE, *given, "--output", str(output), *options])
    assert refused.code == 1, refused.output
    assert said in refused.stderr
    assert not output.exists()
