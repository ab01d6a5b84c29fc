"""`ollama serve`, `ollama create NAME -f MODELFILE`, `ollama rm NAME`, `ollama --version`."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from . import settings
from .runners import Runners
from .server import VERSION, Server
from .store import Store


def main(version: str = VERSION) -> int:
    """Its exit code; what is wrong is said on standard error."""
    words = sys.argv[1:]
    try:
        if words == ["--version"]:
            print(f"ollama version is {version}")
        elif words == ["serve"]:
            _serve(settings.read(os.environ), version)
        elif words[:1] == ["create"] and words[2:3] == ["-f"] and len(words) == 4:
            _create(settings.read(os.environ), words[1], Path(words[3]))
        elif words[:1] == ["rm"] and len(words) == 2:
            _call(settings.read(os.environ), "DELETE", "/api/delete", {"model": words[1]})
        else:
            raise ValueError(f"unknown command: {' '.join(words)}")
    except (OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _serve(wanted: settings.Settings, version: str) -> None:
    # Ollama makes itself a key before anything else, and ends where it cannot.
    key = Path(os.environ["HOME"]) / ".ollama" / "id_ed25519"
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        key.write_text("made up\n")
    store = Store(wanted.models)
    store.start(prune=wanted.prune)
    library = Path(sys.argv[0]).resolve().parents[1] / "lib" / "ollama"
    runners = Runners(store, wanted, library)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server = Server(store, runners, (wanted.host, wanted.port), version)
    print(f"Listening on {server.url} (version {version})", flush=True)
    try:
        server.run()
    finally:
        runners.stop()


def _create(wanted: settings.Settings, name: str, recipe: Path) -> None:
    """The weights travel to the server as a blob, then it makes the model."""
    lines = [line.split() for line in recipe.read_text().splitlines() if line.strip()]
    (file,) = [Path(words[1]) for words in lines if words[0] == "FROM"]
    set_to = {words[1]: int(words[2]) for words in lines if words[0] == "PARAMETER"}
    content = file.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    _call(wanted, "POST", f"/api/blobs/{digest}", content)
    asked = {"model": name, "files": {file.name: digest}, "parameters": set_to}
    _call(wanted, "POST", "/api/create", asked)
    print("success")


def _call(wanted: settings.Settings, method: str, path: str, body: Any) -> None:
    connection = http.client.HTTPConnection(wanted.host, wanted.port)
    connection.request(method, path, body if isinstance(body, bytes) else json.dumps(body))
    response = connection.getresponse()
    said = response.read().decode()
    if response.status >= 300:
        raise ValueError(said)


if __name__ == "__main__":
    sys.exit(main())
