"""A model's files leave the page cache, and nothing else does.

A page of a file stays on the memory node where it was read first: by a download, or by a proof.
`--numa` of llama.cpp has each page read by the thread that computes with it, which places it only
if it is not there. /proc/sys/vm/drop_caches would take the cache of the whole machine.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..lib.failure import Failure
from . import manifest


def leave(directory: Path) -> tuple[int, int]:
    """Take the files of a model out of the page cache; return how many, and their bytes.

    What another process has mapped stays: the kernel leaves it.
    """
    found = manifest.load(directory / manifest.NAME)
    if not found:
        raise Failure(f"{directory / manifest.NAME} is missing: fetch the weights first")
    for each in found.files:
        try:
            file = os.open(directory / each.path, os.O_RDONLY)
        except OSError as error:
            raise Failure(f"{each.path}: {error.strerror}: run weights fetch again") from error
        try:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)
    return len(found.files), sum(each.size for each in found.files)
