"""The file of a golden unit: written as it is read, and refused with what to type next."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.control import golden_unit
from deploys.planning.inputs.golden_unit import hardware_of
from deploys.planning.inputs.refusal import Refusal
from tests.unit.planning.driver.driver_examples import driven


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "units/h800.json"
    golden_unit.write(path, driven("h800"))
    assert golden_unit.read(path)["cores"] == hardware_of(driven("h800"))["cores"]
    assert golden_unit.read(str(path))["gpus"][0]["pci_id"] == "10de:2324"


def test_a_tree_without_a_unit_is_refused_as_the_builder_is_another_machine() -> None:
    with pytest.raises(Refusal, match=r"the builder's.*golden_unit = Path"):
        golden_unit.read(None)


@pytest.mark.parametrize("content", [None, "{", "[]"])
def test_a_file_that_cannot_be_read_is_to_be_written_anew(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "unit.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Refusal, match=r"unit\.json.*Write it anew with deploys/golden\.py"):
        golden_unit.read(path)
