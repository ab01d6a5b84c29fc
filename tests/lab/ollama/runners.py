"""Loaded models: a llama-server each, which Ollama starts at the first question for one.

https://github.com/ollama/ollama/blob/main/llm/llama_server.go
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .settings import Settings
from .store import Store


@dataclass
class Runner:
    """One llama-server, and what it was started with."""

    process: subprocess.Popen[bytes]
    port: int
    model: Path
    context: int

    def serves(self, model: Path, context: int) -> bool:
        return (self.model, self.context) == (model, context) and self.process.poll() is None

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Its answer; ValueError when that is an error."""
        answer: dict[str, Any] = json.loads(b"".join(self.stream(path, body)))
        return answer

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[bytes]:
        """The same, line by line, as it comes."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            if response.status != 200:
                raise ValueError(response.read().decode())
            yield from response
        finally:
            connection.close()


class Runners:
    """At most OLLAMA_MAX_LOADED_MODELS at a time; the one that was asked longest ago goes."""

    def __init__(self, store: Store, settings: Settings, library: Path) -> None:
        self._store, self._settings, self._library = store, settings, library
        self._loaded: dict[str, Runner] = {}
        self._lock = threading.Lock()

    def of(self, name: str, options: dict[str, Any]) -> Runner:
        """The model in memory, loaded now if it must be; KeyError when there is no such model."""
        with self._lock:
            model, parameters = self._store.model(name)
            wanted = {"num_ctx": self._settings.context, **parameters, **options}
            found = self._loaded.pop(name, None)
            if found and found.serves(model, wanted["num_ctx"]):
                self._loaded[name] = found
                return found
            if found:
                found.process.kill()
            while len(self._loaded) >= self._settings.loaded:
                self._loaded.pop(next(iter(self._loaded))).process.kill()
            self._loaded[name] = self._started(model, wanted)
            return self._loaded[name]

    def shown(self) -> list[dict[str, Any]]:
        """What ``GET /api/ps`` lists."""
        return [
            {"name": name, "model": name, "context_length": runner.context}
            for name, runner in self._loaded.items()
            if runner.process.poll() is None
        ]

    def stop(self) -> None:
        for runner in self._loaded.values():
            runner.process.kill()

    def _started(self, model: Path, wanted: dict[str, Any]) -> Runner:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = [
            *(str(self._library / "llama-server"), "--model", str(model), "--offline"),
            *("--host", "127.0.0.1", "--port", str(port)),
            *("-c", str(wanted["num_ctx"] * self._settings.parallel)),
            *("-np", str(self._settings.parallel)),
        ]
        if "num_gpu" in wanted:
            words += ["-ngl", str(wanted["num_gpu"])]
        if self._settings.cache_type != "f16":
            words += ["--cache-type-k", self._settings.cache_type]
            words += ["--cache-type-v", self._settings.cache_type]
        print("starting llama-server", " ".join(words[1:]), flush=True)
        environment = {**os.environ, "LD_LIBRARY_PATH": str(self._library)}
        process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL)
        while process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", port), 1):
                    pass
            except OSError:
                time.sleep(0.05)
                continue
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return Runner(process, port, model, wanted["num_ctx"])
            time.sleep(0.05)
        raise RuntimeError(f"llama-server ended with code {process.returncode}")
