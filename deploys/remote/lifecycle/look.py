"""Print what a plan cannot compare by itself, as one JSON object; write nothing.

    python3 look.py < {"hashes": [paths], "environments": [folders], "data_root": folder,
                       "deep": bool, "weights": [folders], "trees": [folders]}

    {"files": what is ours by its mark or its name, "additions": to our units, "enabled": links,
     "folders": what lies in folders of ours, "users": [names], "hashes": {path: sha256},
     "noted": versions of engines that are kept, "ports": [[address, port, owner]],
     "broken": packages that are half installed, "failed": our units that have failed,
     "environments": {folder: {distribution: version}}, "before": ports that were there before us,
     "altered": [sentences], "trees": {folder: {path: sha256}}}

The last two are empty unless it is deep: then the packages' own checksums are compared, every byte
of weights and of Python environments is read against what was recorded of it, and the programs
that were compiled are hashed.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..facts import packages
from ..lib.content import no_callback, sha256_of
from ..lib.probe import read, run
from ..lib.processes import PROCESSES, open_files, unit_of
from . import deep, ours

_ENGINES = Path("/opt/modelrack/engines")
_NOTES = Path("/var/lib/modelrack/engines")
_BEFORE = Path("/var/lib/modelrack/before.json")


def main() -> int:
    request: dict[str, Any] = json.load(sys.stdin)
    models = Path(request["data_root"], "models")
    found = {
        "files": ours.marked(),
        "additions": ours.additions(),
        "enabled": ours.enabled(),
        "folders": [
            *ours.below(Path("/etc/modelrack"), 4),
            *ours.below(_ENGINES, 2),
            *ours.below(Path("/var/lib/modelrack/services"), 1),
            *ours.below(models, 1),
        ],
        "users": ours.accounts(read("/etc/passwd")),
        "hashes": _hashes(request["hashes"]),
        "noted": sorted(_noted()),
        "ports": sorted(_ports()),
        "broken": list(packages.installed().broken),
        "failed": _failed(),
        "environments": {each: deep.distributions(Path(each)) for each in request["environments"]},
        "before": _before(),
        "altered": [],
        "trees": {},
    }
    if request["deep"]:
        found["altered"] = [
            *deep.packages(),
            *(each for folder in request["weights"] for each in deep.weights(Path(folder))),
            *(
                each
                for folder in request["environments"]
                for each in deep.environment(Path(folder))
            ),
        ]
        found["trees"] = {folder: deep.tree(Path(folder)) for folder in request["trees"]}
    print(json.dumps(found))
    return 0


def _hashes(paths: list[str]) -> dict[str, str]:
    found = {}
    for path in map(Path, paths):
        if path.is_file():
            found[str(path)] = sha256_of(path, no_callback)
    return found


def _noted() -> Iterator[str]:
    for note in _NOTES.glob("*/*.json"):
        try:
            yield str(json.loads(read(note))["directory"])
        except (ValueError, KeyError, TypeError):
            continue


def _before() -> list[int] | None:
    try:
        return [int(port) for port in json.loads(read(_BEFORE))["ports"]]
    except (ValueError, KeyError, TypeError):
        return None


def _failed() -> list[str]:
    shown, _ = run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full")
    names = [line.split()[0] for line in shown.splitlines() if line.split()]
    units = ours.units()
    return [name for name in names if {name, re.sub("@.*[.]", "@.", name)} & units]


def _ports() -> Iterator[tuple[str, int, str]]:
    """Yield each TCP port that other machines could reach, with its address and its owner."""
    sockets: dict[str, tuple[str, int]] = {}
    for table in ("net/tcp", "net/tcp6"):
        for line in read(PROCESSES / table).splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                where, _, number = fields[1].rpartition(":")
                sockets[fields[9]] = (_address(where), int(number, 16))
    owners: dict[str, str] = {}
    for process in PROCESSES.glob("[0-9]*"):
        for file in open_files(process):
            if file.startswith("socket:[") and file[8:-1] in sockets:
                owners[file[8:-1]] = unit_of(process) or read(process / "comm").strip()
    for inode, (address, port) in sockets.items():
        if not address.startswith("127.") and address not in ("::1", "::ffff:127.0.0.1"):
            yield address, port, owners.get(inode, "")


def _address(text: str) -> str:
    """Return an address as the kernel writes it in /proc: words in the machine's own byte order."""
    words = [int(text[at : at + 8], 16) for at in range(0, len(text), 8)]
    family = socket.AF_INET if len(words) == 1 else socket.AF_INET6
    return socket.inet_ntop(family, struct.pack(f"={len(words)}I", *words))


if __name__ == "__main__":
    raise SystemExit(main())
