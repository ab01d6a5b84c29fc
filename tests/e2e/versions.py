"""Other versions of llama.cpp for a rack, without compiling each of them."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploys.control import locks
from deploys.planning.inputs.site import Site
from tests.e2e.rack import Rack

PLAN = "deploys/plan.py"
# Programs for `pin`: one that stops right away, and one as it is where the system is too old.
CRASHES = '#!/bin/sh\n[ "$1" = --version ] && exit\necho it is broken >&2\nexit 1\n'
DOES_NOT_RUN = "#!/bin/sh\necho GLIBC_9.9 not found >&2\nexit 127\n"


@dataclass(frozen=True)
class Versions:
    """What a rack's site has pinned and compiled besides the version that was deployed first.

    + first: folder name of that, <version>-<digest>
    """

    rack: Rack
    first: str

    def pin(self, version: str, program: str | None = None) -> str:
        """Plan this version from now on; returns the name of its folder.

        + program: shell script that it has as llama-server; None for the one that works
        """
        pinned = locks.read(Path()).artifacts["llama.cpp"]
        entry = {**vars(pinned), "version": version}
        path = self.rack.folder / ".lab/sandbox/locks/artifacts.yaml"
        path.write_text(yaml.safe_dump({"llama.cpp": entry}))
        name = planned(self.rack)
        builds = self.rack.folder / ".lab/sandbox/builds"
        builds.mkdir(exist_ok=True)
        source = Site().builds / f"llama.cpp-{self.first}.tar.gz"
        _repack(source, builds / f"llama.cpp-{name}.tar.gz", program)
        return name


def first_of(rack: Rack) -> Versions:
    """What was just deployed, with the builds of all; more come from a folder of the rack's own."""
    versions = Versions(rack, planned(rack))
    rack.add("site = replace(site, builds=_folder / 'builds')")
    return versions


def planned(rack: Rack) -> str:
    """The version of llama.cpp that would be deployed, as its folder is called."""
    plan: dict[str, Any] = json.loads(rack.deploy("--data", "format=json", deploy=PLAN).stdout)
    return Path(plan["software"][0]["directory"]).name


def _repack(source: Path, target: Path, program: str | None) -> None:
    with tarfile.open(source) as old, tarfile.open(target, "w:gz", compresslevel=1) as new:
        for entry in old:
            content = old.extractfile(entry) if entry.isfile() else None
            if program is not None and entry.name.endswith("bin/llama-server"):
                content = io.BytesIO(program.encode())
                entry.size = len(program)
            new.addfile(entry, content)
