"""Of what deploys to all kinds of machines have compiled, benches take what runs here."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from deploys.planning.inputs.site import Site
from tests import packs

RUNS = '#!/bin/sh\n[ "$1" = --version ]\n'
# As the loader does where the C library is older.
TOO_NEW = "#!/bin/sh\necho \"version 'GLIBC_2.38' not found\" >&2\nexit 1\n"
FOREIGN = "\x7fELF of another processor"


def pack(builds: Path, name: str, age: int, program: str, options: tuple[str, ...] = ()) -> None:
    builds.mkdir(parents=True, exist_ok=True)
    archive = builds / f"{name}.tar.gz"
    content = {"build.json": json.dumps({"options": options}), "bin/llama-gguf-split": program}
    with tarfile.open(archive, "w:gz") as packed:
        for path, text in content.items():
            member = tarfile.TarInfo(f"./{path}")
            member.size, member.mode = len(text.encode()), 0o755
            packed.addfile(member, io.BytesIO(text.encode()))
    os.utime(archive, (1_000_000_000 - age, 1_000_000_000 - age))


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = Site(builds=tmp_path / "builds")
    monkeypatch.setattr(packs, "Site", lambda: site)
    return site.builds


def test_the_newest_that_runs_here_is_taken(builds: Path, tmp_path: Path) -> None:
    pack(builds, "llama.cpp-1-old", 5, RUNS)
    pack(builds, "llama.cpp-2-good", 4, RUNS)
    pack(builds, "llama.cpp-2-newer-system", 3, TOO_NEW)
    pack(builds, "llama.cpp-2-other-processor", 2, FOREIGN)
    pack(builds, "llama.cpp-2-cards", 1, RUNS, ("GGML_CUDA=ON",))
    found = packs.program("llama-gguf-split", tmp_path / "work")
    assert found == tmp_path / "work/llama.cpp-2-good/bin/llama-gguf-split"
    old = packs.program("llama-gguf-split", tmp_path / "old", "1")
    assert old == tmp_path / "old/llama.cpp-1-old/bin/llama-gguf-split"


def test_where_none_runs_none_is_taken(builds: Path, tmp_path: Path) -> None:
    pack(builds, "llama.cpp-2-newer-system", 3, TOO_NEW)
    assert packs.program("llama-gguf-split", tmp_path / "work") is None
    assert packs.program("llama-server", tmp_path / "work") is None
