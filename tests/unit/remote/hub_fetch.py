"""The lab's hub with a small model of several ranges, and fetches from it, for deploys/remote."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from deploys.remote.download import fetch as program
from deploys.remote.download.source import RetryPolicy
from deploys.remote.lib import spec
from deploys.remote.model_dir import manifest
from tests.lab.hub import Hub

MODEL = "lab/model"
PIECE = 64 << 10
QUICK = RetryPolicy(
    silence=0.5, tries=4, first_wait=0.01, longest_wait=0.05, longest_retry_after=0.3
)
FILES = {
    "config.json": b'{"a": 1}',
    "big.bin": random.Random(1).randbytes(20 * PIECE + 123),
    "sub/more.bin": random.Random(2).randbytes(5 * PIECE),
}
SIZE = sum(map(len, FILES.values()))


@contextmanager
def hubs(
    folder: Path, count: int = 1, files: dict[str, bytes] | None = None
) -> Iterator[list[Hub]]:
    """So many hubs with the same model, in folders of their own."""
    with ExitStack() as stack:
        found = []
        for number in range(count):
            root = folder / f"hub{number}"
            for path, content in (files or FILES).items():
                file = root / MODEL / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            found.append(stack.enter_context(Hub(root)))
        yield found


def source(hub: Hub, **more: Any) -> dict[str, Any]:
    place = {"kind": "modelscope", "endpoint": hub.url, "repository": MODEL, "revision": "master"}
    return {**place, **more}


def wanted(
    directory: Path,
    sources: list[dict[str, Any]],
    files: dict[str, bytes] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A fetch spec as the operator sends it."""
    listing = [
        {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for path, content in (files or FILES).items()
    ]
    return {
        "model": "tiny",
        "directory": str(directory),
        "sources": sources,
        "files": listing,
        **more,
    }


def fetch(value: dict[str, Any], **more: Any) -> bool:
    settings = {"patience": QUICK, "piece_bytes": PIECE, **more}
    return program.fetch(spec.parse(value), **settings)


def assert_there(directory: Path, files: dict[str, bytes] | None = None) -> None:
    """Right bytes under a manifest that holds, and nothing left over."""
    for path, expected in (files or FILES).items():
        assert (directory / path).read_bytes() == expected, path
        assert not (directory / path).is_symlink()
    found = manifest.load(directory / "manifest.json")
    assert found and not manifest.problems(found, directory)
    assert [path.name for path in (directory / ".fetch").iterdir()] == ["lock"]


def sent(hub: Hub) -> int:
    """Bytes of content that the hub has sent."""
    return sum(request.bytes for request in hub.requests if request.name != f"{MODEL}/")
