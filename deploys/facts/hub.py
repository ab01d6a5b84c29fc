"""What a hub has: the files of a model with size and sha256, through the hub's own client.

The clients are imported in a program of their own (`python -m deploys.facts.hub`): one costs a
quarter of a second, both configure logging for the whole process, and a listing that hangs must not
hold up the other machines.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from deploys.planning.locks import File, WeightsLock
from deploys.planning.model import Model
from deploys.planning.plan import Source
from deploys.planning.refusal import Refusal

# Seconds for one listing, retries of the client included.
_PATIENCE = 180
# Kept off: progress bars, and the variable that modelscope and modelscope-hub read differently.
_ENVIRONMENT = {"TQDM_DISABLE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def listed(model: Model, sources: Sequence[Source]) -> WeightsLock:
    """The files of `model` from the first source that lists them with a sha256 each."""
    problems = []
    for source in sources:
        try:
            return _listed_by(model, source)
        except _Unlisted as problem:
            problems.append(f"{source.kind} ({source.endpoint}): {problem}")
    raise Refusal(
        f"No hub lists {model.key}: " + "; ".join(problems),
        "Check the way to the hub and the model's repository, then run this again",
    )


class _Unlisted(Exception):
    """Why one hub did not do."""


def _listed_by(model: Model, source: Source) -> WeightsLock:
    environment = {**os.environ, **_ENVIRONMENT}
    environment.pop("MODELSCOPE_LOG_LEVEL", None)
    try:
        listing = subprocess.run(
            [
                *(sys.executable, "-m", __name__),
                *(source.kind, source.endpoint, source.repository, source.revision),
            ],
            capture_output=True,
            text=True,
            env=environment,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _Unlisted(f"no listing within {_PATIENCE} seconds") from error
    if listing.returncode:
        lines = [line for line in listing.stderr.splitlines() if line.strip()]
        raise _Unlisted(lines[-1] if lines else f"exit code {listing.returncode}")
    answer = json.loads(listing.stdout.splitlines()[-1])
    files = tuple(_selected(model, answer["files"]))
    if not files:
        raise _Unlisted(f"none of its files matches {', '.join(model.files)}")
    return WeightsLock(
        hub=source.kind, repository=source.repository, revision=answer["revision"], files=files
    )


def _selected(model: Model, files: Sequence[dict[str, str]]) -> Iterator[File]:
    for file in sorted(files, key=lambda file: file["path"]):
        path = file["path"]
        if not any(fnmatch.fnmatchcase(path, pattern) for pattern in model.files):
            continue
        # The clients write where a listing says; we look first.
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise _Unlisted(f"it lists {path!r}, which leads out of the model's folder")
        digest = (file["sha256"] or "").lower()
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            raise _Unlisted(f"it gives no sha256 for {path}, so nothing could prove the file")
        yield File(path=path, size=int(file["size"]), sha256=digest)


def _modelscope(endpoint: str, repository: str, revision: str) -> dict[str, object]:
    from modelscope_hub import HubApi

    api = HubApi(endpoint=endpoint)
    files = api.list_repo_files(repository, "model", revision=revision, recursive=True)
    return {
        "revision": revision,
        "files": [
            {"path": file.path, "size": file.size, "sha256": file.sha256}
            for file in files
            if file.type == "blob"
        ],
    }


def _huggingface(endpoint: str, repository: str, revision: str) -> dict[str, object]:
    from huggingface_hub import HfApi, RepoFile

    api = HfApi(endpoint=endpoint)
    commit = api.model_info(repository, revision=revision).sha
    files = api.list_repo_tree(repository, revision=commit, recursive=True)
    return {
        "revision": commit,
        "files": [
            {"path": file.path, "size": file.size, "sha256": file.lfs.sha256 if file.lfs else None}
            for file in files
            if isinstance(file, RepoFile)
        ],
    }


if __name__ == "__main__":
    kind, *where = sys.argv[1:]
    print(json.dumps({"modelscope": _modelscope, "huggingface": _huggingface}[kind](*where)))
