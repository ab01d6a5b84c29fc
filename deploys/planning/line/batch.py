"""A batch of units that a vendor's line makes, as its table says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from deploys.planning.inputs.refusal import Refusal

_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# What may stand for all units at the top, or in the table of one.
_OF_UNIT = {"image", "class", "model", "disk", "address"}
_OF_BATCH = {"signers", "key", "reports", "ssh_key", "inventories"}
_NEEDED = ("signers", "key", "reports")


@dataclass(frozen=True, kw_only=True)
class BatchUnit:
    """One unit.

    + serial: its serial number, by which its report is called
    + host_class: file of inventories/group_data that says what it is
    + model: what its maker calls it
    + image: that its disk is written with
    + disk: where the line's computer has its disk
    + address: where it answers when it is switched on for its test
    """

    serial: str
    host_class: str
    model: str | None
    image: Path
    disk: Path | None
    address: str | None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """All units of a table, and what the line does with each.

    + signers: names and public keys of who may sign images
    + key: private key that reports are signed with
    + reports: folder of the reports
    + ssh_key: private key that units let in while they are tested; None: as ssh is set up
    + inventories: folder with group_data; None for this project's
    """

    units: tuple[BatchUnit, ...]
    signers: Path
    key: Path
    reports: Path
    ssh_key: Path | None
    inventories: Path | None


def batch(text: str, where: Path) -> Batch:
    """Return the batch of a table (TOML); raise Refusal if something is wrong in it.

    + where: the file, whose folder relative paths begin at
    """
    try:
        table: dict[str, Any] = tomlkit.parse(text).unwrap()
    except TOMLKitError as error:
        raise Refusal(f"{where} is not TOML: {error}", "Correct that line") from error
    units = table.pop("unit", None)
    if not isinstance(units, dict) or not units:
        raise Refusal(f"{where} has no unit", "Write [unit.SERIAL] with a disk and an address")
    _check(table, _OF_BATCH | _OF_UNIT, _NEEDED, str(where))

    def path(value: str | None) -> Path | None:
        return where.parent / Path(value).expanduser() if value else None

    made = []
    for serial, own in units.items():
        of = f"{where}, unit {serial}"
        if not _SERIAL.fullmatch(serial):
            raise Refusal(f"{of}: that is no serial number", "Write letters, digits, . _ and -")
        if not isinstance(own, dict):
            raise Refusal(f"{of} is no table", f"Write [unit.{serial}]")
        _check(own, _OF_UNIT, (), of)
        known = {**{key: table[key] for key in _OF_UNIT & {*table}}, **own}
        _check(known, _OF_UNIT, ("image", "class"), of)
        image, disk = path(known["image"]), path(known.get("disk"))
        assert image
        made.append(
            BatchUnit(
                serial=serial,
                host_class=known["class"],
                model=known.get("model"),
                image=image,
                disk=disk,
                address=known.get("address"),
            )
        )
    for name in ("disk", "address"):
        seen: dict[Any, str] = {}
        for unit in made:
            value = getattr(unit, name)
            if value is not None and seen.setdefault(value, unit.serial) != unit.serial:
                raise Refusal(
                    f"{where} has {name} {value} for {seen[value]} and for {unit.serial}",
                    "Give each unit its own",
                )
    signers, key, reports = (path(table[name]) for name in _NEEDED)
    assert signers and key and reports
    return Batch(
        units=tuple(made),
        signers=signers,
        key=key,
        reports=reports,
        ssh_key=path(table.get("ssh_key")),
        inventories=path(table.get("inventories")),
    )


def _check(table: Mapping[str, Any], known: set[str], needed: tuple[str, ...], of: str) -> None:
    if unknown := sorted({*table} - known):
        raise Refusal(f"{of} has {unknown[0]!r}", f"Write one of {', '.join(sorted(known))}")
    if missing := [name for name in needed if name not in table]:
        raise Refusal(f"{of} has no {missing[0]}", f'Write {missing[0]} = "..."')
    for name, value in table.items():
        if not isinstance(value, str) or not value:
            raise Refusal(f"{of}: {name} is {value!r}, not a text", f'Write {name} = "..."')
