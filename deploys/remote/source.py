"""Where content comes from, and a stream of it that survives what can be survived."""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlencode

from .content import PIECE, looks_like
from .failure import Failure, SourceFailure, Stopped
from .http import Body, Interrupted, Session
from .spec import SourceSpec


@dataclass(frozen=True)
class Patience:
    """How long trouble is borne, in seconds; `tries` in a row without one new byte end it."""

    silence: float = 30.0
    tries: int = 8
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_retry_after: float = 120.0

    def wait(self, tried: int, asked: float) -> float:
        """Seconds before the next try: doubling, scattered, never less than the server asked."""
        doubled: float = min(self.longest_wait, self.first_wait * 2.0 ** (tried - 1))
        return max(doubled * random.uniform(0.5, 1.5), min(asked, self.longest_retry_after))


class Source(Protocol):
    """A place that has files under their repository paths."""

    name: str

    def open(self, path: str, start: int, end: int | None) -> Body: ...


class Web:
    """A hub or a plain web server; used by one thread."""

    def __init__(self, spec: SourceSpec, patience: Patience) -> None:
        self._spec = spec
        self.name = f"{spec.endpoint}/{spec.repository}".rstrip("/")
        self._session = Session(_credentials(spec), timeout=patience.silence)

    def open(self, path: str, start: int, end: int | None) -> Body:
        return self._session.get(self.url(path), start, end)

    def url(self, path: str) -> str:
        """The address of one file, as the hub's own client asks for it."""
        spec = self._spec
        if spec.kind == "modelscope":
            query = urlencode({"Revision": spec.revision, "FilePath": path}, quote_via=quote)
            return f"{spec.endpoint}/api/v1/models/{spec.repository}/repo?{query}"
        if spec.kind == "huggingface":
            revision = quote(spec.revision, safe="")
            return f"{spec.endpoint}/{spec.repository}/resolve/{revision}/{quote(path)}"
        return f"{spec.endpoint}/{quote(path)}"


class Address:
    """One web address; the path is not used."""

    def __init__(self, url: str, token_file: str | None, patience: Patience) -> None:
        self._url, self.name = url, url.partition("?")[0]
        spec = SourceSpec("http", url, token_file=token_file)
        self._session = Session(_credentials(spec), timeout=patience.silence)

    def open(self, path: str, start: int, end: int | None) -> Body:
        return self._session.get(self._url, start, end)


class Directory:
    """A folder on this machine: a disk that was brought, a network share, shards to be merged."""

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


def open_source(spec: SourceSpec, patience: Patience) -> Source:
    """The Source that `spec` describes."""
    if spec.kind == "directory":
        return Directory(Path(spec.endpoint))
    return Web(spec, patience)


def stream(
    source: Source,
    path: str,
    start: int,
    size: int | None,
    *,
    patience: Patience,
    stop: threading.Event,
    end: int | None = None,
    on_size: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Offset and data from `start` to `end` or the end of the file, reconnecting as needed.

    An offset that goes back to 0 means that the source knows no ranges and began again. Raises
    SourceFailure when this source cannot give the file, Stopped when `stop` is set while waiting.
    """
    offset = reach = start
    tried = 0
    while True:
        goal = end if end is not None else size
        if goal is not None and offset >= goal:
            return
        try:
            body = source.open(path, offset, end)
            with contextlib.closing(body):
                if body.total is not None and size is not None and body.total != size:
                    raise SourceFailure(_wrong_size(source, path, body, size))
                if size is None and body.total is not None:
                    size = body.total
                    if on_size:
                        on_size(size)
                goal = end if end is not None else size
                offset = body.start
                overlong = goal is not None and (body.stop is None or body.stop > goal)
                for data in body.chunks:
                    if overlong and goal is not None:
                        data = data[: goal - offset]
                    yield offset, data
                    offset += len(data)
                    if offset > reach:
                        reach, tried = offset, 0
                    if overlong and offset == goal:
                        break
            if goal is None or offset >= goal:
                return
            raise Interrupted(f"the content ended {goal - offset} bytes early")
        except Interrupted as problem:
            tried += 1
            if tried >= patience.tries:
                raise SourceFailure(
                    f"{problem}, {tried} times in a row: try again later"
                ) from problem
            wait = patience.wait(tried, problem.retry_after)
            print(
                f"{path}: {problem}; again in {wait:.1f} s ({tried} of {patience.tries})",
                flush=True,
            )
            if stop.wait(wait):
                raise Stopped from problem


def _wrong_size(source: Source, path: str, body: Body, size: int) -> str:
    text = f"{source.name} offers {body.total} bytes of {path}, the listing says {size}"
    beginning = b""
    if body.start == 0:
        with contextlib.suppress(Interrupted):
            beginning = next(body.chunks, b"")
    guess = looks_like(beginning[:512])
    return f"{text} ({guess})" if guess else text


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
