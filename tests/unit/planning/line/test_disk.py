"""Which disk the line may write, from what lsblk lists."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.planning.line.disk import LineDisk, refusals

DISK: dict[str, Any] = {
    "path": "/dev/sdb",
    "type": "disk",
    "size": 960_197_124_096,
    "ro": False,
    "model": "SAMSUNG MZ7L3960HCJR-00A07 ",
    "serial": "S6ENNX0T123456",
    "wwn": None,
    "mountpoints": [None],
}


def part(**values: Any) -> dict[str, Any]:
    entry = {**DISK, "path": "/dev/sdb1", "type": "part", "model": None, "serial": None}
    return {**entry, **values}


def said(**values: Any) -> list[str]:
    return [str(refusal) for refusal in refusals(LineDisk.of({**DISK, **values}), 8 << 30)]


def test_a_disk_that_nobody_uses_may_be_written_and_is_known_by_name() -> None:
    assert said() == []
    assert said(children=[part()]) == []
    disk = LineDisk.of(DISK)
    assert disk.to_json() == {
        "path": "/dev/sdb",
        "size": 960_197_124_096,
        "model": "SAMSUNG MZ7L3960HCJR-00A07",
        "serial": "S6ENNX0T123456",
        "wwn": None,
    }
    assert "SAMSUNG" in str(disk) and "S6ENNX0T123456" in str(disk)


LVM = part(type="lvm", path="/dev/mapper/vg-root", mountpoints=["/"])


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"type": "part"}, "is not a whole disk"),
        ({"mountpoints": ["/"]}, "has the system of this computer, at /"),
        ({"children": [part(mountpoints=["/boot/efi"])]}, "has the system of this computer"),
        ({"children": [part(mountpoints=["[SWAP]"])]}, "has the system of this computer"),
        ({"children": [part(children=[LVM])]}, "has the system of this computer"),
        ({"children": [part(mountpoints=["/mnt/usb"])]}, "is mounted at /mnt/usb"),
        (
            {"children": [part(children=[part(type="raid1", path="/dev/md0")])]},
            "is in use by /dev/md0",
        ),
        ({"ro": True}, "cannot be written"),
        ({"size": 4 << 30}, "has 4.0 GiB, and the image 8.0 GiB"),
    ],
)
def test_another_is_refused_with_its_reason(values: dict[str, Any], why: str) -> None:
    (line,) = said(**values)
    assert "/dev/sdb" in line and why in line
