"""Clients that ask the models of what is watched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.gateway_site import chat
from tests.monitoring.conftest import Watch


@contextmanager
def asked_by(watch: Watch, clients: int) -> Iterator[None]:
    """So many clients ask for streams, one after the other, until it is over."""
    over = threading.Event()

    def ask() -> None:
        with watch.site.http("alice") as http:
            while not over.is_set():
                body = chat(max_tokens=96, stream=True)
                if http.post("/v1/chat/completions", json=body).status_code != 200:
                    time.sleep(0.2)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
