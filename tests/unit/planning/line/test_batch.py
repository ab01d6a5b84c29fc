"""The table of a batch: what stands at the top, what of a unit, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.line.batch import batch

TABLE = """
image = "images/h800.raw.zst"
signers = "signers"
key = "line"
reports = "reports"
class = "h800"

[unit.MR-0001]
disk = "/dev/disk/by-path/pci-0000:00:17.0-ata-1"
address = "10.0.0.11"

[unit.MR-0002]
class = "a100"
model = "A2"
image = "images/a100.raw.zst"
"""
WHERE = Path("/srv/line/batch.toml")


def test_what_stands_at_the_top_is_for_all_that_say_nothing_else() -> None:
    made = batch(TABLE, WHERE)
    assert (made.signers, made.ssh_key) == (Path("/srv/line/signers"), None)
    first, second = made.units
    assert (first.serial, first.host_class, first.model) == ("MR-0001", "h800", None)
    assert first.image == Path("/srv/line/images/h800.raw.zst")
    assert first.disk == Path("/dev/disk/by-path/pci-0000:00:17.0-ata-1")
    assert (second.host_class, second.model, second.disk) == ("a100", "A2", None)
    assert second.image == Path("/srv/line/images/a100.raw.zst")


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("[unit.MR-0001]", "[unit.MR-0001", "is not TOML"),
        ("unit.", "units.", "has no unit"),
        ('key = "line"', "", "has no key"),
        ('class = "h800"\n', "", "unit MR-0001 has no class"),
        ('reports = "reports"', 'reports = "reports"\nreport = "x"', "has 'report'"),
        ('address = "10.0.0.11"', 'adress = "10.0.0.11"', "has 'adress'"),
        ('address = "10.0.0.11"', "address = 11", "address is 11, not a text"),
        ("[unit.MR-0001]", '[unit."../MR-1"]', "that is no serial number"),
        (
            'model = "A2"',
            'address = "10.0.0.11"',
            "has address 10.0.0.11 for MR-0001 and for MR-0002",
        ),
    ],
)
def test_what_is_wrong_is_named(before: str, after: str, why: str) -> None:
    assert before in TABLE
    with pytest.raises(Refusal) as refused:
        batch(TABLE.replace(before, after), WHERE)
    assert why in str(refused.value) and str(WHERE) in str(refused.value)
