"""What a unit's report says is done, and so what comes next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploys.control.line.reports import Reports, due
from tests.lab import ssh_key

IMAGE = "a" * 64
FLASHED = {"sha256": IMAGE, "ended": "2030-01-01T00:00:00+00:00"}
PASSED = {"passed": True, "by": "tests/machine", "checks": []}


@pytest.fixture
def kept(tmp_path: Path) -> Reports:
    return Reports(tmp_path / "reports", ssh_key.make(tmp_path / "line"))


def test_one_step_comes_after_the_other_and_a_new_image_begins_again(kept: Reports) -> None:
    def next_one(image: str = IMAGE) -> str:
        return due(kept.read("MR-1"), image)

    assert next_one() == "flash"
    kept.add("MR-1", "flash", FLASHED, image={"sha256": IMAGE})
    assert next_one() == "test"
    failed = {**PASSED, "passed": False, "checks": [{"name": "test_uv", "result": "failed"}]}
    kept.add("MR-1", "test", failed, macs=["02:00:00:00:00:01"])
    assert next_one() == "test"
    text = kept.path("MR-1").with_suffix(".txt").read_text()
    assert "FAILED" in text and "test_uv" in text and "02:00:00:00:00:01" in text
    kept.add("MR-1", "test", PASSED)
    assert next_one() == "seal"
    kept.add("MR-1", "seal", {"ended": "now"})
    assert next_one() == "done"
    assert next_one("b" * 64) == "flash"
    # One that is written again is to be tested and sealed again.
    kept.add("MR-1", "flash", FLASHED)
    assert next_one() == "test"
    assert json.loads(kept.path("MR-1").read_text())["macs"] == ["02:00:00:00:00:01"]


def test_a_disk_that_is_being_written_has_no_report(kept: Reports) -> None:
    for serial in ("MR-1", "MR-1.json", "MR-10"):
        kept.add(serial, "flash", FLASHED)
    kept.begun("MR-1")
    there = {path.name for path in kept.path("MR-1").parent.iterdir()}
    assert not {"MR-1.json", "MR-1.json.sig", "MR-1.txt", "MR-1.txt.sig"} & there
    assert {"MR-10.json", "MR-10.txt.sig", "MR-1.json.json"} <= there
