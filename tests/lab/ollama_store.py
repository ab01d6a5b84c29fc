"""Ollama's server as far as its folder of models goes: what it lists, shows, prunes and removes.

It reads the folder as Ollama 0.33 does, and says no where that would: a manifest that is no JSON, a
config blob that is not what its digest says, a blob of another size than the manifest has it.
https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gguf import GGUFReader

if TYPE_CHECKING:
    from typing_extensions import Self

MODEL = "application/vnd.ollama.image.model"
BLOB = re.compile(r"sha256-[0-9a-f]{64}")
PRUNE_AFTER = 3600.0


class OllamaStore:
    """``with OllamaStore(models) as ollama: ... ollama.url``; ``models`` is read anew each time."""

    def __init__(self, models: Path) -> None:
        self.models = models
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def tags(self) -> list[dict[str, Any]]:
        """What ``GET /api/tags`` lists: models whose manifest and config can be read."""
        listed = []
        for path in sorted((self.models / "manifests").glob("*/*/*/*")):
            try:
                name, manifest, config = self._read(path)
            except (OSError, ValueError, KeyError):
                continue
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            size = sum(each["size"] for each in [*manifest["layers"], manifest["config"]])
            listed.append(
                {
                    "name": name,
                    "model": name,
                    "size": size,
                    "digest": digest,
                    "details": _details(config),
                }
            )
        return listed

    def show(self, wanted: str) -> dict[str, Any]:
        """What ``POST /api/show`` answers; KeyError when there is no such model."""
        for path in (self.models / "manifests").glob("*/*/*/*"):
            name, manifest, config = self._read(path)
            if name in (wanted, f"{wanted}:latest"):
                (layer,) = [each for each in manifest["layers"] if each["mediaType"] == MODEL]
                reader = GGUFReader(self._blob(layer))
                info = {
                    key: field.contents()
                    for key, field in reader.fields.items()
                    if key.startswith("general.")
                }
                return {"details": _details(config), "model_info": info}
        raise KeyError(wanted)

    def start(self) -> None:
        """What a start does: blobs that no manifest names and that are an hour old are removed."""
        used = set()
        for path in (self.models / "manifests").glob("*/*/*/*"):
            manifest = json.loads(path.read_bytes())
            used |= {
                each["digest"].replace(":", "-")
                for each in [*manifest["layers"], manifest["config"]]
            }
        for blob in (self.models / "blobs").iterdir():
            old = time.time() - blob.stat().st_mtime > PRUNE_AFTER
            if not BLOB.fullmatch(blob.name) or (old and blob.name not in used):
                blob.unlink()

    def _read(self, path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
        host, space, model, tag = path.relative_to(self.models / "manifests").parts
        manifest = json.loads(path.read_bytes())
        if manifest["schemaVersion"] != 2:
            raise ValueError(f"{path}: schema {manifest['schemaVersion']}")
        for layer in manifest["layers"]:
            self._blob(layer)
        content = self._blob(manifest["config"]).read_bytes()
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != manifest["config"]["digest"]:
            raise ValueError(f"{path}: the config is not what its digest says")
        shown = [] if host == "registry.ollama.ai" else [host]
        shown += [] if not shown and space == "library" else [space]
        return f"{'/'.join([*shown, model])}:{tag}", manifest, json.loads(content)

    def _blob(self, layer: dict[str, Any]) -> Path:
        blob = self.models / "blobs" / layer["digest"].replace(":", "-")
        if not BLOB.fullmatch(blob.name) or blob.stat().st_size != layer["size"]:
            raise ValueError(f"{blob} is not {layer['size']} bytes")
        return blob


def _details(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": config["model_format"],
        "family": config["model_family"],
        "families": config["model_families"],
        "parameter_size": config["model_type"],
        "quantization_level": config["file_type"],
    }


def _handler(store: OllamaStore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/api/tags":
                self._answer(200, {"models": store.tags()})
            else:
                self._answer(404, {"error": f"no {self.path}"})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                self._answer(200, store.show(asked["model"]))
            except KeyError:
                self._answer(404, {"error": f"model '{asked['model']}' not found"})

        def _answer(self, status: int, value: Any) -> None:
            body = json.dumps(value, default=str).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
