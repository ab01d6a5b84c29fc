"""One report a unit: what was done to it, as JSON and as a text, both signed.

What a report does not say is done was not done: a step is written down after it has ended well.
"""

from __future__ import annotations

import json
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from deploys.control.bundle.signature import sign
from deploys.control.replaced import replace
from deploys.planning.inputs.refusal import Refusal

UnitStep = Literal["flash", "test", "seal", "done"]
_STEPS = ("flash", "test", "seal")


class Reports:
    """The reports of a line.

    + folder: where they lie; made with the first one
    + key: private key that they are signed with
    """

    def __init__(self, folder: Path, key: Path) -> None:
        self._folder, self._key = folder, key

    def check(self) -> None:
        """Raise Refusal if the key signs nothing: a report is due when all is done."""
        with tempfile.TemporaryDirectory() as folder:
            empty = Path(folder) / "empty"
            empty.touch()
            sign(empty, self._key)

    def path(self, serial: str) -> Path:
        return self._folder / f"{serial}.json"

    def read(self, serial: str) -> dict[str, Any]:
        """Return the report of a unit; an empty one where nothing was done yet."""
        path = self.path(serial)
        try:
            report: dict[str, Any] = json.loads(path.read_text())
        except FileNotFoundError:
            return {"serial": serial}
        except (OSError, ValueError) as error:
            raise Refusal(
                f"{path} cannot be read: {error}", "Remove it; the unit is then made anew"
            ) from error
        return report

    def add(self, serial: str, step: str, done: dict[str, Any], **known: Any) -> None:
        """Write down a step that has ended; what came after it before counts no more.

        + known: what else is known of the unit now
        """
        report = {**self.read(serial), **known}
        for later in _STEPS[_STEPS.index(step) :]:
            report.pop(later, None)
        report[step] = done
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self.path(serial)
        text = path.with_suffix(".txt")
        replace(path, json.dumps(report, indent=2, sort_keys=True) + "\n")
        replace(text, "".join(f"{line}\n" for line in lines(report)))
        for each in (path, text):
            sign(each, self._key)

    def begun(self, serial: str) -> None:
        """Take back what was reported of a unit, as its disk is about to be overwritten."""
        for ending in ("json", "json.sig", "txt", "txt.sig"):
            (self._folder / f"{serial}.{ending}").unlink(missing_ok=True)


def due(report: dict[str, Any], image: str) -> UnitStep:
    """Return what comes next for a unit that is to have an image with this sha256."""
    if report.get("flash", {}).get("sha256") != image:
        return "flash"
    if not report.get("test", {}).get("passed"):
        return "test"
    return "done" if "seal" in report else "seal"


def now() -> str:
    """Return the time, as reports have it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def lines(report: dict[str, Any]) -> list[str]:
    """Return a report for people to read."""
    image, disk = report.get("image", {}), report.get("disk", {})
    flash, test, seal = (report.get(step, {}) for step in _STEPS)
    told = [
        ("serial number", report["serial"]),
        ("class", report.get("class")),
        ("model", report.get("model")),
        ("image", image.get("name")),
        ("  sha256", image.get("sha256")),
        ("  commit", image.get("commit")),
        ("disk", disk.get("model") or disk.get("path")),
        ("  serial number", disk.get("serial")),
        ("  bytes", disk.get("size")),
        ("MAC addresses", ", ".join(report.get("macs") or ()) or None),
        ("written", flash.get("ended")),
        ("  read back", flash.get("sha256")),
        ("tested", test.get("ended")),
        ("  by", test.get("by")),
        ("  result", test and ("passed" if test.get("passed") else "FAILED")),
        ("sealed again", seal.get("ended")),
    ]
    said = [f"{name + ':':18} {value}" for name, value in told if value]
    for each in test.get("checks", ()):
        why = f": {each['why']}" if each.get("why") else ""
        said.append(f"  {each['result']:8} {each['name']}{why}")
    return said
