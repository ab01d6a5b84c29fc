"""The locks: pins read from and written to files on the operator's computer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from deploys.control.replaced import replace
from deploys.planning.checkpoint.published import Published
from deploys.planning.inputs.locks import ArtifactLock, EnvironmentLock, Locks, WeightsLock
from deploys.planning.inputs.refusal import Refusal

# These come with the source. A site whose mirrors sign or pack things anew pins those in its own.
_ARTIFACTS = Path(__file__).resolve().parents[1] / "locks" / "artifacts.yaml"
_ENGINES = _ARTIFACTS.parent / "engines"
_ADVISORIES = _ARTIFACTS.parent / "advisories.yaml"
# Folder of a site's locks with what hubs said of models that are named by a reference.
_MODELS = "models"
# libyaml's where PyYAML was built with it: it is ten times as quick.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PIN = re.compile(r"^([a-z0-9-]+)(?:\[[^]]*\])?==([^\s;]+)", re.MULTILINE)
_HEADER = (
    "# Written by deploys/lock.py and by the first run that needed an entry; keep it in git.\n"
)


def read(folder: Path) -> Locks:
    """Return all pins: weights from `folder`, artifacts from there and from deploys/locks."""
    weights = _load(folder / "weights.yaml")
    artifacts = {**_load(_ARTIFACTS), **_load(folder / "artifacts.yaml")}
    try:
        return Locks(
            artifacts={name: ArtifactLock(**entry) for name, entry in artifacts.items()},
            environments=_environments(),
            weights={name: WeightsLock.from_json(entry) for name, entry in weights.items()},
            published={
                path.stem: Published.from_json(_load(path))
                for path in sorted((folder / _MODELS).glob("*.json"))
            },
        )
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise Refusal(
            f"The pins in {folder} cannot be read: {error}", "Restore the file from git"
        ) from error


def requirements(name: str) -> str:
    """Return the requirements of an engine's lock; an absolute path, without .txt, also works."""
    return requirements_path(name).read_text()


def requirements_path(name: str) -> Path:
    """Return the file that they are in."""
    return _ENGINES / f"{name}.txt"


def write(folder: Path, weights: dict[str, WeightsLock]) -> None:
    """Add weights to those pinned in `folder`, sorted by key to keep diffs readable."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "weights.yaml"
    entries = {**_load(path), **{name: lock.to_json() for name, lock in weights.items()}}
    text = yaml.safe_dump(entries, sort_keys=True, allow_unicode=True, width=120)
    replace(path, _HEADER + text)


def keep(folder: Path, key: str, published: Published) -> None:
    """Write down in `folder` what a hub said of a model, for plans to come."""
    path = folder / _MODELS / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, json.dumps(published.to_json(), indent=1) + "\n")


def advisories() -> Mapping[str, Any]:
    """Return what is known of vulnerabilities of what is pinned."""
    return _load(_ADVISORIES)


@cache
def _environments() -> dict[str, EnvironmentLock]:
    found = {}
    for path in sorted(_ENGINES.glob("*.txt")):
        text = path.read_text()
        found[path.stem] = EnvironmentLock(
            digest=hashlib.sha256(text.encode()).hexdigest()[:12],
            versions=dict(_PIN.findall(text)),
        )
    return found


def _load(path: Path) -> Mapping[str, Any]:
    """Return the entries of a file, none if there is no such file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return {}
    return _parsed(path, found.st_mtime_ns, found.st_size, found.st_ino)


@cache
def _parsed(path: Path, *state: int) -> Mapping[str, Any]:
    """Parse a file in this state, once for all hosts of a run."""
    kind = "JSON" if path.suffix == ".json" else "YAML"
    try:
        text = path.read_text()
        return (json.loads(text) if kind == "JSON" else yaml.load(text, _Loader)) or {}
    except (yaml.YAMLError, ValueError) as error:
        raise Refusal(f"{path} is not {kind}: {error}", "Restore the file from git") from error
