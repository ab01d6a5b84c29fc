"""Tasks on a few threads; the first failure stops the rest, the calling thread keeps the time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from .failure import Stopped
from .source import Source

Task = Callable[[Sequence[Source]], None]
LEAVE_AFTER = 5.0


def run(
    tasks: Sequence[Task],
    count: int,
    open_sources: Callable[[], Sequence[Source]],
    stop: threading.Event,
    tick: Callable[[], None],
) -> None:
    """Every task has run, begun in order, on `count` threads; or the first failure is raised."""
    queue: SimpleQueue[Task] = SimpleQueue()
    for task in tasks:
        queue.put(task)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            sources = open_sources()
            while not stop.is_set():
                queue.get_nowait()(sources)
        except Empty:
            pass
        except BaseException as error:
            errors.append(error)
            stop.set()

    # Daemon threads: one that waits for a silent server must not keep a stopped program alive.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(count, len(tasks)))]
    for thread in threads:
        thread.start()
    while (working := [thread for thread in threads if thread.is_alive()]) and not stop.is_set():
        working[0].join(0.1)
        tick()
    for thread in threads:
        thread.join(LEAVE_AFTER if stop.is_set() else None)
    causes = [error for error in errors if not isinstance(error, Stopped)]
    if causes or errors:
        raise (causes or errors)[0]
    if stop.is_set():
        raise Stopped
