"""The bytes of a file in order, from one source, with retries of whatever may be temporary."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterator

from ..lib.content import looks_like
from ..lib.failure import SourceFailure, Stopped
from .http import Body, Interrupted
from .source import RetryPolicy, Source


def stream(
    source: Source,
    path: str,
    start: int,
    size: int | None,
    *,
    patience: RetryPolicy,
    stop: threading.Event,
    end: int | None = None,
    on_size: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, bytes]]:
    """Yield offset and data from `start` to `end` or the end of the file, reconnecting as needed.

    An offset that goes back to 0 means that the source does not support ranges and began again.
    Raise SourceFailure if this source cannot provide the file, Stopped if `stop` is set while
    waiting.
    """
    offset = reach = start
    tried = 0

    def learn(total: int) -> None:
        nonlocal size
        size = total
        if on_size:
            on_size(total)

    while True:
        goal = end if end is not None else size
        if goal is not None and offset >= goal:
            return
        reach = max(reach, offset)
        try:
            for first, data in attempt(
                source, path, offset, size, patience=patience, end=end, on_size=learn
            ):
                yield first, data
                offset = first + len(data)
            return
        except Interrupted as problem:
            tried = tried + 1 if problem.idle or offset <= reach else 1
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


def attempt(
    source: Source,
    path: str,
    start: int,
    size: int | None,
    *,
    patience: RetryPolicy,
    end: int | None = None,
    on_size: Callable[[int], None] | None = None,
    whole: bool = False,
) -> Generator[tuple[int, bytes], None, None]:
    """Yield offset and data from one response, as `stream` does.

    Raise Interrupted if it ends early or is too slow.

    + whole: one that begins at 0 instead of at `start` is read to its end, not to `end`
    """
    with contextlib.closing(source.open(path, start, end)) as body:
        if body.total is not None and size is None:
            size = body.total
            if on_size:
                on_size(size)
        elif body.total is not None and size is not None and body.total != size:
            raise SourceFailure(_wrong_size(source, path, body, size))
        to_its_end = end is None or (whole and body.start < start)
        goal = size if to_its_end else end
        offset = body.start
        # An answer without ranges goes on behind what was asked for.
        overlong = goal is not None and (body.stop is None or body.stop > goal)
        for data in _fast_enough(body.chunks, patience):
            if overlong and goal is not None:
                data = data[: goal - offset]
            yield offset, data
            offset += len(data)
            if overlong and offset == goal:
                break
        if goal is not None and offset < goal:
            raise Interrupted(f"the content ended {goal - offset} bytes early")


def _fast_enough(chunks: Iterator[bytes], patience: RetryPolicy) -> Iterator[bytes]:
    """Yield `chunks`; raise Interrupted if they come more slowly than `patience` allows.

    Only waiting for the source counts: a slow disk on our side is not its fault.
    """
    waited, count = 0.0, 0
    while True:
        before = time.monotonic()
        data = next(chunks, None)
        if data is None:
            return
        waited += time.monotonic() - before
        count += len(data)
        if waited >= patience.silence:
            if count < patience.slowest * waited:
                raise Interrupted(f"only {count} bytes in {waited:.0f} s", idle=True)
            waited, count = 0.0, 0
        yield data


def _wrong_size(source: Source, path: str, body: Body, size: int) -> str:
    text = f"{source.name} offers {body.total} bytes of {path}, the listing says {size}"
    beginning = b""
    if body.start == 0:
        with contextlib.suppress(Interrupted):
            beginning = next(body.chunks, b"")
    guess = looks_like(beginning[:512])
    return f"{text} ({guess})" if guess else text
