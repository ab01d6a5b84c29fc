"""A batch on its way: what each unit needs next is done as far as its disk or itself is there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from deploys.control.line import flash, image, unit
from deploys.control.line.image import Image
from deploys.control.line.reports import Reports, due, now
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.line.batch import Batch, BatchUnit

_WAITS = {
    "flash": "waits for its disk to be written",
    "test": "waits to be switched on and tested",
    "seal": "was tested, and waits to be sealed again",
    "done": "done",
}


class Line:
    """What becomes of the units of a batch.

    + say: prints a line
    """

    def __init__(self, batch: Batch, say: Callable[[str], None]) -> None:
        self._batch, self._say = batch, say
        self._reports = Reports(batch.reports, batch.key)
        self._images: dict[Path, Image] = {}
        self._problems: dict[str, str] = {}
        for each in batch.units:
            found = self._image(each)
            if found.host_class != each.host_class:
                raise Refusal(
                    f"{each.serial} is of class {each.host_class}, and {found.file} is for"
                    f" {found.host_class}",
                    "Name an image of its class",
                )

    @property
    def is_done(self) -> bool:
        return all(self._due(each) == "done" for each in self._batch.units)

    @property
    def to_write(self) -> list[str]:
        """Return a line for each disk that would be overwritten."""
        return [f"{target.serial}: {target.disk}" for target in self._targets]

    def go_on(self) -> None:
        """Write the disks that are there, then test and seal the units that answer."""
        self._reports.check()
        for target, problem in flash.flash(self._targets, self._reports, self._say):
            if problem:
                self._problems[target.serial] = str(problem)
            else:
                self._say(f"{target.serial}: written, read back and the same")
        for each in self._batch.units:
            try:
                self._try(each)
            except Refusal as refusal:
                self._problems[each.serial] = str(refusal)

    def table(self) -> Iterator[str]:
        """Yield a line for each unit, and one for all of them."""
        done = 0
        for each in self._batch.units:
            step = self._due(each)
            done += step == "done"
            state = self._problems.get(each.serial, _WAITS[step])
            yield f"{each.serial:20} {each.host_class:12} {state}"
        yield f"{done} of {len(self._batch.units)} units are done; {self._batch.reports}"

    @cached_property
    def _targets(self) -> list[flash.FlashTarget]:
        """Return the units whose disks are there and may be written."""
        wanted = [
            (each.serial, each.disk, self._image(each), each.model)
            for each in self._batch.units
            if each.disk and each.disk.exists() and self._due(each) == "flash"
        ]
        for file in {each.file for _, _, each, _ in wanted}:
            image.checked(file, self._batch.signers)
        good, against = flash.targets(wanted)
        for serial, refusal in against:
            self._problems[serial] = str(refusal)
        return good

    def _try(self, each: BatchUnit) -> None:
        """Test a unit that answers, and seal it if it has passed."""
        step = self._due(each)
        if step not in ("test", "seal") or not each.address:
            return
        with tempfile.TemporaryDirectory(prefix="modelrack-line-") as folder:
            known_hosts = Path(folder) / "known_hosts"
            there = unit.reach(each.serial, each.address, self._batch.ssh_key, known_hosts)
            if there is None:
                return
            disk = self._reports.read(each.serial)["disk"]["serial"]
            said = unit.identity(there, disk)
            if step == "test" and not self._test(each, there, said):
                return
            self._say(f"{each.serial}: sealing")
            sealed = unit.seal(there)
            self._reports.add(each.serial, "seal", {"ended": now(), **sealed})

    def _test(self, each: BatchUnit, there: unit.Reached, said: dict[str, Any]) -> bool:
        self._say(f"{each.serial}: testing")
        begun = now()
        found = unit.test(there, each.host_class, self._batch.inventories)
        self._reports.add(each.serial, "test", {"begun": begun, "ended": now(), **found}, **said)
        if found["passed"]:
            return True
        failed = [check["name"] for check in found["checks"] if check["result"] == "failed"]
        self._problems[each.serial] = (
            f"failed its test: {', '.join(failed) or 'nothing was tested'}"
        )
        return False

    def _due(self, each: BatchUnit) -> str:
        return due(self._reports.read(each.serial), self._image(each).sha256)

    def _image(self, each: BatchUnit) -> Image:
        if each.image not in self._images:
            self._images[each.image] = image.described(each.image, self._batch.signers)
        return self._images[each.image]
