"""Shards or pieces on this machine become one GGUF file, proven, in a model directory.

Every byte is read once and written once, hashed on the way (a copy inside the kernel was measured
to be slower: the bytes have to be read for their digest anyway). What is known about an interrupted
run lies in `.fetch/` beside the file; the file has its name and its first bytes only when all of it
is proven.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from dataclasses import replace as altered
from pathlib import Path

from . import manifest, publish, space, workers
from .content import PIECE, update_from
from .durable import replace, sync_directory, write_all
from .failure import Failure, Stopped
from .follow import Follower
from .journal import Entry, Journal
from .lock import Taken, held
from .manifest import Manifest, Record
from .parts import Part, Whole, whole_of
from .progress import Progress
from .spec import File, SourceSpec, Spec

SYNC_BYTES = 256 << 20
# One hashes while the other waits for the disk; more of them only make a hard disk seek.
COPIES = 2


def join(
    first: Path,
    output: Path,
    *,
    digests: Mapping[str, str] | None = None,
    free: bool = False,
    stop: threading.Event | None = None,
    sync_bytes: int = SYNC_BYTES,
) -> Manifest | None:
    """`output` is the file that `first` and the parts after it make; None when it was before.

    `digests`, by file name, are what parts or the output must have; what the manifest beside the
    parts says is known without. With `free` each part is removed as soon as its bytes are proven
    and safe on disk: there is never more than the output and one part.
    """
    first, output = first.absolute(), output.absolute()
    state = output.parent / ".fetch"
    try:
        begun = _Begun.load(state, output)
        if not begun:
            if _is_done(output):
                return None
            begun = _begin(first, output, digests or {}, free)
            publish.make_directories(output.parent, (-1, -1))
            state.mkdir(mode=0o700, exist_ok=True)
        with held(state / "lock"):
            return _join(begun, state, free, stop or threading.Event(), sync_bytes)
    except Taken:
        raise Failure(
            f"another fetch or merge is writing to {output.parent}: wait for it to end, then run "
            "again"
        ) from None
    except OSError as error:
        raise space.explain(error, output.parent) or error from error
