"""Specs of what the operator asks for, read from JSON and checked before anything is done."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failure import Failure

KINDS = ("modelscope", "huggingface", "http", "directory")
WORKERS = 4


@dataclass(frozen=True)
class ListedFile:
    """One listed file: path in the repository, size in bytes, sha256 in lower-case hex.

    Its JSON is that of `ListedFile` in deploys/planning/inputs/locks.py.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class SourceSpec:
    """One source of the files; for `directory`, `endpoint` is the folder that has the paths."""

    kind: str
    endpoint: str
    repository: str = ""
    revision: str = ""
    token_file: str | None = None


@dataclass(frozen=True)
class Sharing:
    """What this machine shares is in `folder`; `me` and `others` are addresses."""

    folder: Path
    me: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Spec:
    """The files of one model and where they go; `output`: the file that GGUF shards become.

    `workers` is the number of streams from each source.
    `opened` is the one of `files` that an engine opens (of shards the first), None for safetensors.
    `quantization` is what safetensors are said to be and are checked against; None for a GGUF.
    """

    model: str
    directory: Path
    sources: tuple[SourceSpec, ...]
    files: tuple[ListedFile, ...]
    output: str | None = None
    owner: str | None = None
    workers: int = WORKERS
    sharing: Sharing | None = None
    opened: str | None = None
    quantization: str | None = None


def read_json(argument: str) -> dict[str, Any]:
    """Return the JSON object in the file named `argument`, or on standard input for `-`."""
    try:
        text = sys.stdin.read() if argument == "-" else Path(argument).read_text("utf-8")
        value = json.loads(text)
    except OSError as error:
        raise Failure(f"cannot read the spec {argument}: {error.strerror}") from error
    except ValueError as error:
        raise Failure(f"the spec {argument} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Failure(f"the spec {argument} is not a JSON object")
    return value


def parse(value: dict[str, Any]) -> Spec:
    """Return the Spec in `value`; raise Failure naming the field that is wrong."""
    try:
        directory = Path(str(value["directory"]))
        files = tuple(
            ListedFile(str(f["path"]), int(f["size"]), digest(f["sha256"], f["path"]))
            for f in value["files"]
        )
        sources = tuple(_source(s, value) for s in value.get("sources") or ())
        merge = value.get("merge")
        spec = Spec(
            model=str(value["model"]),
            directory=directory,
            sources=sources,
            files=files,
            output=str(merge["output"]) if merge else None,
            owner=value.get("owner"),
            workers=max(1, int(value.get("workers") or WORKERS)),
            sharing=_sharing(value.get("sharing")),
            opened=str(value["opened"]) if value.get("opened") else None,
            quantization=str(value["quantization"]) if value.get("quantization") else None,
        )
    except KeyError as error:
        raise Failure(f"the spec lacks the field {error}") from error
    except (TypeError, ValueError) as error:
        raise Failure(f"the spec has a field of the wrong type: {error}") from error
    _check(spec)
    return spec


def digest(value: object, what: object) -> str:
    """Return `value` as 64 lower-case hex digits (hubs differ in case), or raise Failure."""
    text = str(value or "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise Failure(f"{what} has no valid sha256 ({value!r}): resolve and pin it first")
    return text


def owner_ids(owner: str | None) -> tuple[int, int]:
    """Return (user id, group id) of `user:group`; -1 for what is not to change."""
    if not owner:
        return -1, -1
    user, _, group = owner.partition(":")
    try:
        uid = int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid if user else -1
        gid = int(group) if group.isdigit() else grp.getgrnam(group).gr_gid if group else -1
    except KeyError as error:
        raise Failure(
            f"owner {owner}: no such user or group on this machine: create it first"
        ) from error
    return uid, gid


def belongs_to(path: Path, ids: tuple[int, int]) -> bool:
    """Return whether `path` belongs to `ids`; -1 matches anybody."""
    found = path.stat()
    return ids[0] in (-1, found.st_uid) and ids[1] in (-1, found.st_gid)


def take_ownership(path: Path, ids: tuple[int, int]) -> None:
    """Change the owner of `path` to `ids`, unless it has that already."""
    if not belongs_to(path, ids):
        os.chown(path, *ids)


def check_path(path: str) -> None:
    """Raise Failure unless `path` stays inside the directory that it is joined to."""
    parts = path.split("/")
    if (
        "\\" in path
        or any(ord(c) < 32 for c in path)
        or any(part in ("", ".", "..") for part in parts)
    ):
        raise Failure(f"unsafe path in the listing: {path!r}; do not fetch from this source")


def _source(value: dict[str, Any], spec: dict[str, Any]) -> SourceSpec:
    kind, endpoint = str(value["kind"]), str(value["endpoint"])
    if kind not in KINDS:
        raise Failure(f"unknown source kind {kind!r}: one of {', '.join(KINDS)}")
    token_file = value.get("token_file")
    if not token_file and spec.get("token_file"):
        # A token of one hub must never be shown to another.
        if len(spec["sources"]) > 1:
            raise Failure(
                "token_file is given for several sources: write it into the one it belongs to"
            )
        token_file = spec["token_file"]
    return SourceSpec(
        kind,
        endpoint.rstrip("/") or "/",
        str(value.get("repository") or ""),
        str(value.get("revision") or ""),
        token_file,
    )


def _sharing(value: dict[str, Any] | None) -> Sharing | None:
    if not value:
        return None
    others = tuple(str(each).rstrip("/") for each in value["others"])
    return Sharing(Path(str(value["folder"])), str(value["me"]).rstrip("/"), others)


def _check(spec: Spec) -> None:
    if not spec.directory.is_absolute():
        raise Failure(f"directory {spec.directory} is not an absolute path")
    if not spec.files:
        raise Failure(
            f"the listing of {spec.model} has no files: check patterns, repository and revision"
        )
    paths = [file.path for file in spec.files] + ([spec.output] if spec.output else [])
    for path in paths:
        check_path(path)
        if path.split("/")[0] in (".fetch", "manifest.json"):
            raise Failure(f"the listing has {path}, a name that our own record needs: leave it out")
    if spec.opened and spec.opened not in paths:
        raise Failure(f"the listing has no file {spec.opened}, which is to be opened")
    if len(set(paths)) != len(paths):
        raise Failure("the listing names a path twice")
    if any(file.size < 0 for file in spec.files):
        raise Failure("the listing has a negative size")
    for source in spec.sources:
        if source.kind in ("modelscope", "huggingface") and not (
            source.repository and source.revision
        ):
            raise Failure(f"source {source.endpoint} needs repository and revision")
    owner_ids(spec.owner)
