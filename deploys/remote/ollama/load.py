"""Preloading of models: by itself, Ollama loads a model only at the first request for it.

A request from the deploy itself would be in vain: Ollama stops loading when the client goes away.
https://github.com/ollama/ollama/blob/main/docs/faq.mdx (how to preload a model)
"""

from __future__ import annotations

import http.client
import json
import os
import time
from urllib.parse import urlsplit

PATIENCE = 60.0


def load(url: str, names: list[str]) -> int:
    """Have the server load these models; return at once, leaving the wait to a forked process."""
    if os.fork():
        return 0
    os._exit(wait(url, names))


def wait(url: str, names: list[str]) -> int:
    """Load the models in turn; print the server's errors and return 1 if there are any, else 0."""
    code = 0
    for name in names:
        said = _ask(url, name)
        if said:
            print(f"{name} is not loaded: {said}", flush=True)
            code = 1
    return code


def _ask(url: str, name: str) -> str:
    """Send an empty request once the server listens; return its error, "" if there is none.

    What writes no answers is asked for the vectors of no texts.
    """
    said = _asked(url, "/api/generate", name)
    if "does not support generate" in said:
        said = _asked(url, "/api/embed", name)
    return said


def _asked(url: str, path: str, name: str) -> str:
    address = urlsplit(url)
    deadline = time.monotonic() + PATIENCE
    body = json.dumps({"model": name, "keep_alive": -1, "stream": False})
    while True:
        connection = http.client.HTTPConnection(address.hostname or "", address.port)
        try:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            said = response.read().decode(errors="replace")
            return "" if response.status == 200 else said
        except ConnectionRefusedError as error:
            if time.monotonic() > deadline:
                return str(error)
            time.sleep(0.1)
        except (OSError, http.client.HTTPException) as error:
            return str(error)
        finally:
            connection.close()
