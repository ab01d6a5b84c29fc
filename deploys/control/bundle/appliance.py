"""What lets a machine update itself from a bundle: this project, its packages, its inventory.

All of it lies in appliance/ of the bundle; deploys/remote/install/update.py reads it there.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path, PosixPath
from typing import Any

from packaging.requirements import Requirement

from deploys.connection import programs
from deploys.control.bundle import signers, wheels
from deploys.planning.engines.software import Build
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.plan import HostPlan

_PROJECT = Path(__file__).resolve().parents[3]
_LOCK = _PROJECT / "deploys/locks/operator.txt"
# What runs a deploy; the rest of the project makes and tests it.
_PARTS = ("config.py", "pyproject.toml", "LICENSE", "deploys", "templates")
# What is different on the machine: where things come from and where its own are kept.
_OWN = {"mirrors", "bundle", "locks", "builds", "signers", "secrets", "tokens", "restore"}
_KEYS = "keys.toml"
_HOSTS = '"""This machine itself."""\n\nhosts = ["@local"]\n'
_DATA = '''"""What deploys/bundle.py was told of {name}."""

import importlib
from pathlib import Path, PosixPath

from deploys.planning.inputs.site import BUNDLE

_folder = Path(__file__).resolve().parents[2]


def _made(module, kind, /, **values):
    return getattr(importlib.import_module(module), kind)(**values)


profile = {profile}
site = _made(
    "deploys.planning.inputs.site",
    "Site",
    mirrors=BUNDLE((_folder / "place").read_text().strip()),
    locks=_folder / "locks",
    builds=_folder / "builds",
    signers=_folder / "signers" if (_folder / "signers").exists() else None,
{site})
'''


def add(name: str, plan: HostPlan, python: str, bundle: Path) -> None:
    """Put what a machine needs to follow this plan by itself into the bundle.

    + name: of the appliance, such as its model
    + python: the machine's own, such as "3.11"
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise Refusal(f"{name!r} names no appliance", "Write letters, digits, dots and dashes")
    folder = bundle / "appliance"
    (folder / name).mkdir(parents=True, exist_ok=True)
    lock = folder / name / "requirements.txt"
    lock.write_text(requirements(_LOCK.read_text(), python))
    wheels.download(lock, python, "x86_64", plan.site.mirrors.pypi, bundle)
    (folder / name / "modelrack.tar").write_bytes(_packed(name, plan))
    (folder / "modelrack.pyz").write_bytes(programs.zipapp())


def requirements(lock: str, python: str) -> str:
    """Return what of the operator's lock a deploy needs with one Python on Linux."""
    entries: dict[str, tuple[str, set[str]]] = {}
    for entry in re.split(r"^(?=\S)", lock, flags=re.MULTILINE):
        pinned, _, rest = entry.partition(" \\\n")
        wanted = Requirement(pinned) if rest else None
        if wanted is None or (wanted.marker and not wanted.marker.evaluate(_surroundings(python))):
            continue
        hashes = re.findall(r"--hash=\S+", rest)
        after = re.findall(r"^    # (?:via|  ) *(\S.*)$", rest, re.MULTILINE)
        text = " \\\n    ".join([f"{wanted.name}{wanted.specifier}", *hashes])
        entries[wanted.name] = (text, {*after})
    needed = {name for name, (_, after) in entries.items() if "modelrack (pyproject.toml)" in after}
    while more := {name for name, (_, after) in entries.items() if after & needed} - needed:
        needed |= more
    return "".join(f"{entries[name][0]}\n" for name in sorted(needed))


def _surroundings(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def _packed(name: str, plan: HostPlan) -> bytes:
    """Return the project as an archive; the same project always gives the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in sorted(_files(name, plan)):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _files(name: str, plan: HostPlan) -> Iterator[tuple[str, bytes]]:
    for part in _PARTS:
        for path in _below(_PROJECT / part):
            yield path.relative_to(_PROJECT).as_posix(), path.read_bytes()
    for path in _below(plan.site.locks):
        yield f"locks/{path.relative_to(plan.site.locks).as_posix()}", path.read_bytes()
    for build in plan.software:
        if isinstance(build, Build):
            packed = plan.site.builds / build.packed
            if packed.exists():
                yield f"builds/{packed.name}", packed.read_bytes()
    if gateway := plan.profile.gateway:
        yield _KEYS, gateway.keys.read_bytes()
    if who := signers.of(plan.site):
        yield "signers", who.encode()
    yield f"inventories/{name}.py", _HOSTS.encode()
    yield f"inventories/group_data/{name}.py", _data(name, plan).encode()


def _below(path: Path) -> list[Path]:
    found = path.rglob("*") if path.is_dir() else [path]
    return [
        each for each in found if each.is_file() and not {"__pycache__", ".git"} & {*each.parts}
    ]


def _data(name: str, plan: HostPlan) -> str:
    default = Site()
    differs = {
        each.name: getattr(plan.site, each.name)
        for each in fields(Site)
        if each.name not in _OWN and getattr(plan.site, each.name) != getattr(default, each.name)
    }
    lines = "".join(f"    {key}={_text(value)},\n" for key, value in differs.items())
    profile = _text(plan.profile)
    if gateway := plan.profile.gateway:
        if gateway.certificate:
            raise Refusal(
                "An appliance makes its certificate by itself, and its gateway names another",
                "Take certificate out of the gateway of this class",
            )
        profile = profile.replace(_text(gateway.keys), f"_folder / {_KEYS!r}")
    return _DATA.format(name=name, profile=profile, site=lines)


def _text(value: Any) -> str:
    """Return Python that makes a value of group data."""
    if hasattr(value, "__dataclass_fields__"):
        kind = type(value)
        values = [f"{each.name}={_text(getattr(value, each.name))}" for each in fields(value)]
        return f"_made({', '.join([repr(kind.__module__), repr(kind.__qualname__), *values])})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_text(each)}' for key, each in value.items())}}}"
    if isinstance(value, tuple):
        return f"({''.join(f'{_text(each)}, ' for each in value)})"
    if isinstance(value, (str, int, float, bool, type(None), PosixPath)):
        return repr(value)
    raise Refusal(
        f"An appliance cannot be told {value!r} of the inventory",
        "Write plain data: texts, numbers, tuples and what the inventory's classes hold",
    )
