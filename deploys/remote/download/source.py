"""Sources of content: hubs, web servers, folders."""

from __future__ import annotations

import os
import random
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode

from ..lib.content import PIECE
from ..lib.failure import Failure, SourceFailure
from ..lib.spec import SourceSpec
from .http import Body, Session


@dataclass(frozen=True)
class RetryPolicy:
    """Timeouts and waiting times, in seconds, and the limit for retries.

    After `tries` in a row without one new byte there are no more. A stream that delivers less than
    `slowest` bytes a second for as long as `silence` has stalled.
    """

    silence: float = 30.0
    slowest: float = 1024.0
    tries: int = 8
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_retry_after: float = 120.0

    def wait(self, tried: int, asked: float) -> float:
        """Return the seconds to wait before the next try: doubling each time, with jitter.

        Never less than the server asked for, which counts up to `longest_retry_after`.
        """
        doubled: float = min(self.longest_wait, self.first_wait * 2.0 ** (tried - 1))
        return max(doubled * random.uniform(0.5, 1.5), min(asked, self.longest_retry_after))


class Source(Protocol):
    """A source of files by their paths in the repository."""

    name: str

    def open(self, path: str, start: int, end: int | None) -> Body: ...


class WebSource:
    """A hub or a plain web server; used by one thread."""

    def __init__(self, spec: SourceSpec, patience: RetryPolicy) -> None:
        self._spec = spec
        self.name = f"{spec.endpoint}/{spec.repository}".rstrip("/")
        self._session = Session(_credentials(spec), timeout=patience.silence)

    def open(self, path: str, start: int, end: int | None) -> Body:
        return self._session.get(self.url(path), start, end)

    def url(self, path: str) -> str:
        """Return the address of one file, as the hub's own client requests it."""
        spec = self._spec
        if spec.kind == "modelscope":
            query = urlencode({"Revision": spec.revision, "FilePath": path}, quote_via=quote)
            return f"{spec.endpoint}/api/v1/models/{spec.repository}/repo?{query}"
        if spec.kind == "huggingface":
            revision = quote(spec.revision, safe="")
            return f"{spec.endpoint}/{spec.repository}/resolve/{revision}/{quote(path)}"
        return f"{spec.endpoint}/{quote(path)}"


class Address:
    """A single URL; the path is not used."""

    def __init__(self, url: str, token_file: str | None, patience: RetryPolicy) -> None:
        self._url, self.name = url, url.partition("?")[0]
        spec = SourceSpec("http", url, token_file=token_file)
        self._session = Session(_credentials(spec), timeout=patience.silence)

    def open(self, path: str, start: int, end: int | None) -> Body:
        return self._session.get(self._url, start, end)


class DirectorySource:
    """A folder on this machine: an attached disk, a network share, shards to be merged."""

    def __init__(self, root: Path) -> None:
        self._root, self.name = root, str(root)

    def open(self, path: str, start: int, end: int | None) -> Body:
        try:
            fd = os.open(self._root / path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SourceFailure(f"{self._root / path}: {error.strerror}") from error
        total = os.fstat(fd).st_size
        stop = total if end is None else min(end, total)
        return Body(start, stop, total, _pieces(fd, start, stop, str(self._root / path)))


def open_source(spec: SourceSpec, patience: RetryPolicy) -> Source:
    """Return the Source that `spec` describes."""
    if spec.kind == "directory":
        return DirectorySource(Path(spec.endpoint))
    return WebSource(spec, patience)


def _pieces(fd: int, start: int, stop: int, name: str) -> Generator[bytes, None, None]:
    try:
        while start < stop:
            try:
                data = os.pread(fd, min(PIECE, stop - start), start)
            except OSError as error:
                raise SourceFailure(f"{name}: {error.strerror}: check the disk") from error
            if not data:
                return
            yield data
            start += len(data)
    finally:
        os.close(fd)


def _credentials(spec: SourceSpec) -> dict[str, str]:
    if not spec.token_file:
        return {}
    try:
        token = Path(spec.token_file).read_text("utf-8").strip()
    except OSError as error:
        raise Failure(
            f"token_file {spec.token_file}: {error.strerror}: write the token there"
        ) from error
    if not token or not token.isascii() or not token.isprintable():
        raise Failure(f"token_file {spec.token_file} does not hold one line with a token")
    headers = {"Authorization": f"Bearer {token}"}
    if spec.kind == "modelscope":
        headers["Cookie"] = f"m_session_id={token}"
    return headers
