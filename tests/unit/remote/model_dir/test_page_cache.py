"""A model's files leave the page cache, and no others do."""

from __future__ import annotations

import ctypes
import mmap
from pathlib import Path

import pytest

from deploys.remote.__main__ import main
from deploys.remote.lib.durable import replace
from deploys.remote.model_dir import manifest

SIZE = 1 << 20


def cached(path: Path) -> int:
    """How many pages of a file are in the page cache."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        pages = (ctypes.c_ubyte * (SIZE // mmap.PAGESIZE))()
        at = ctypes.c_char.from_buffer(mapped)
        libc = ctypes.CDLL(None, use_errno=True)
        code = libc.mincore(ctypes.c_void_p(ctypes.addressof(at)), ctypes.c_size_t(SIZE), pages)
        del at
        assert code == 0, ctypes.get_errno()
    return sum(page & 1 for page in pages)


def test_a_models_files_leave_the_page_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("model.gguf", "other"):
        # As a download leaves it: on the disk, and in the cache.
        replace(tmp_path / name, bytes(SIZE))
    record = manifest.record(tmp_path, "model.gguf", "0" * 64)
    found = manifest.Manifest("m", "o/m", "main", (record,), (), merged=False)
    (tmp_path / manifest.NAME).write_bytes(found.render())
    assert cached(tmp_path / "model.gguf") == SIZE // mmap.PAGESIZE
    assert main(["weights", "uncache", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        f"1 files of {tmp_path} left the page cache, {SIZE} bytes in all\n"
    )
    assert cached(tmp_path / "model.gguf") == 0
    assert cached(tmp_path / "other") == SIZE // mmap.PAGESIZE


def test_what_is_not_there_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "uncache", str(tmp_path)]) == 1
    assert "manifest.json is missing: fetch the weights first" in capsys.readouterr().err
    (tmp_path / "gone").write_bytes(b"x")
    found = manifest.Manifest(
        *("m", "o/m", "main"), (manifest.record(tmp_path, "gone", "0" * 64),), (), merged=False
    )
    (tmp_path / manifest.NAME).write_bytes(found.render())
    (tmp_path / "gone").unlink()
    assert main(["weights", "uncache", str(tmp_path)]) == 1
    assert "gone: No such file or directory: run weights fetch" in capsys.readouterr().err
