"""Find peers that sent wrong content, by comparing what each sent with the verified file."""

from __future__ import annotations

import hashlib
import os

from ..download.transfer import Transfer
from ..lib.content import PIECE


def record_evidence(transfer: Transfer, names: frozenset[str]) -> None:
    """Record digests of what each of these sources sent of a wrong file, before it is refetched."""
    for name in names & transfer.given.keys():
        transfer.evidence[name] = [
            (at, end, _digest(transfer, at, end))
            for start, stop in transfer.given[name]
            for at in range(start, stop, PIECE)
            for end in (min(at + PIECE, stop),)
        ]


def corrupt_sources(transfer: Transfer) -> list[str]:
    """Return the sources that sent something other than the content that is now verified."""
    return [
        name
        for name, given in transfer.evidence.items()
        if any(_digest(transfer, start, stop) != digest for start, stop, digest in given)
    ]


def _digest(transfer: Transfer, start: int, stop: int) -> str:
    target = transfer.target
    # The header of a shard is not in the merged file.
    start = max(start, len(target.header))
    at = target.place + start - len(target.header)
    return hashlib.sha256(os.pread(target.fd, max(0, stop - start), at)).hexdigest()
