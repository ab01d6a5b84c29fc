"""A model hub that the real ModelScope and Hugging Face clients download from.

``<root>/<owner>/<name>/`` is a model. Its revision is a 40-digit commit derived from its content;
``master`` and ``main`` mean that commit. Set ``MODELSCOPE_ENDPOINT`` or ``HF_ENDPOINT`` to ``url``.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.lab.http_server import Reply, StandIn, json_reply

LARGE = (".gguf", ".safetensors", ".bin")


@dataclass(frozen=True)
class Entry:
    """One file of a model. ``oid`` is git's name for its content."""

    path: str
    file: Path
    size: int
    sha256: str
    oid: str

    @property
    def is_large(self) -> bool:
        """Whether a real hub keeps it outside git, with its sha256 as ETag."""
        return self.file.suffix in LARGE

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_large else self.oid


class Hub(StandIn):
    """The stand-in hub; ``hub.faults.add("corrupt", "*00002*")`` breaks it on purpose."""

    def __init__(self, root: Path, bind: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(root, bind, port)
        # Entries in one answer of Hugging Face; a longer listing comes in several.
        self.page = 1000
        # Models that are gated, and the access token that opens them.
        self.gates: dict[str, str] = {}
        self._known: dict[tuple[str, int, int], tuple[str, str]] = {}
        self._lock = threading.Lock()

    def entries(self, model: str) -> list[Entry]:
        """The files of ``<owner>/<name>``, sorted by path; none if there is no such model."""
        folder = self.root / model
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return [self._entry(folder, file) for file in files]

    def commit(self, model: str) -> str:
        """The revision that the model's files are at now."""
        lines = "".join(f"{each.path}\0{each.sha256}\n" for each in self.entries(model))
        return hashlib.sha1(lines.encode()).hexdigest()

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        for pattern, answer in self._routes():
            if found := re.fullmatch(pattern, path):
                return answer(query, *found.groups())
        return json_reply({"error": f"no {path}"}, 404)

    def gate(self, reply: Reply, authorization: str) -> Reply | None:
        model = "/".join(reply.name.split("/")[:2])
        token = self.gates.get(model)
        if token is None or authorization in _credentials(token):
            return None
        status = 403 if authorization else 401
        value = {"Code": status, "Success": False, "Message": f"{model} is gated"}
        return json_reply(value, status, f"{model}/", **{"X-Error-Code": "GatedRepo"})

    def changed(self, reply: Reply) -> None:
        for name in ("ETag", "X-Linked-ETag", "X-Repo-Commit"):
            if value := reply.headers.get(name):
                other = hashlib.sha256(value.encode()).hexdigest()
                reply.headers[name] = f'"{other}"' if value[0] == '"' else other[: len(value)]

    def _routes(self) -> list[tuple[str, Callable[..., Reply]]]:
        model = "([^/]+/[^/]+)"
        return [
            (f"/api/v1/models/{model}/repo/files", self._modelscope_listing),
            (f"/api/v1/models/{model}/repo", self._modelscope_file),
            (rf"/models/{model}\.git/info/refs", self._references),
            (f"/models/{model}/resolve/([^/]+)/(.+)", self._file),
            (f"/api/models/{model}/revision/([^/]+)", self._huggingface_revision),
            (f"/api/models/{model}", self._huggingface_revision),
            (f"/api/models/{model}/tree/([^/]+)(?:/(.*))?", self._huggingface_tree),
            (f"/{model}/resolve/([^/]+)/(.+)", self._file),
        ]

    # -- ModelScope -------------------------------------------------------------------------

    def _modelscope_listing(self, query: dict[str, str], model: str) -> Reply:
        if refusal := self._refuse(model, query.get("Revision", "master")):
            return refusal
        below = query.get("Root", "").strip("/")
        recursive = query.get("Recursive", "false").lower() == "true"
        commit, files, folders = self.commit(model), [], set()
        for entry in self._listed(model):
            if below and not entry.path.startswith(f"{below}/"):
                continue
            rest = entry.path[len(below) + 1 if below else 0 :]
            parents = rest.split("/")[:-1]
            depths = range(1, len(parents) + 1) if recursive else range(1, min(len(parents), 1) + 1)
            folders |= {"/".join(filter(None, [below, *parents[:depth]])) for depth in depths}
            if recursive or not parents:
                files.append(
                    {
                        "Path": entry.path,
                        "Name": entry.path.rpartition("/")[2],
                        "Type": "blob",
                        "Size": entry.size,
                        "Revision": commit,
                        **({"Sha256": entry.sha256} if entry.sha256 else {}),
                    }
                )
        trees = [
            {"Path": path, "Name": path.rpartition("/")[2], "Type": "tree", "Size": 0}
            for path in sorted(folders - {".."})
        ]
        data = {"Code": 200, "Success": True, "Data": {"Files": [*trees, *files]}}
        return json_reply(data, name=f"{model}/")

    def _modelscope_file(self, query: dict[str, str], model: str) -> Reply:
        return self._file(query, model, query.get("Revision", "master"), query.get("FilePath", ""))

    def _references(self, query: dict[str, str], model: str) -> Reply:
        """What git asks first: the commit of every branch, each line with its length before it."""
        if refusal := self._refuse(model, "master"):
            return refusal
        commit = self.commit(model)
        lines = [f"{commit} HEAD\0symref=HEAD:refs/heads/master\n", f"{commit} refs/heads/master\n"]
        service = f"# service={query.get('service', '')}\n"
        text = "".join(
            [_packet(service), "0000", *(_packet(line) for line in lines), "0000"],
        )
        return Reply(f"{model}/.git", body=text.encode())

    # -- Hugging Face -----------------------------------------------------------------------

    def _huggingface_revision(self, query: dict[str, str], model: str, at: str = "main") -> Reply:
        if refusal := self._refuse(model, at):
            return refusal
        siblings = [{"rfilename": entry.path} for entry in self._listed(model)]
        value = {"id": model, "modelId": model, "sha": self.commit(model), "siblings": siblings}
        return json_reply(value, name=f"{model}/")

    def _huggingface_tree(
        self, query: dict[str, str], model: str, at: str, below: str | None = None
    ) -> Reply:
        if refusal := self._refuse(model, at):
            return refusal
        tree = []
        for entry in self._listed(model):
            if below and not entry.path.startswith(f"{below}/"):
                continue
            item: dict[str, Any] = {
                "type": "file",
                "path": entry.path,
                "size": entry.size,
                "oid": entry.oid,
            }
            if entry.is_large and entry.sha256:
                item["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}
            tree.append(item)
        first = int(query.get("cursor", 0))
        more = {}
        if following := tree[first + self.page :]:
            there = f"{self.url}/api/models/{model}/tree/{at}?recursive=true"
            more["Link"] = f'<{there}&cursor={len(tree) - len(following)}>; rel="next"'
        return json_reply(tree[first : first + self.page], name=f"{model}/", **more)

    # -- both -------------------------------------------------------------------------------

    def _file(self, query: dict[str, str], model: str, revision: str, path: str) -> Reply:
        if refusal := self._refuse(model, revision):
            return refusal
        for entry in self.entries(model):
            # The path that the fault ``escape`` lists must be served as well.
            if entry.path == path or f"../{entry.path}" == path:
                headers = {
                    "ETag": f'"{entry.etag}"',
                    "X-Repo-Commit": self.commit(model),
                    "Content-Disposition": f"attachment; filename={quote(entry.file.name)}",
                }
                if entry.is_large:
                    headers["X-Linked-ETag"] = entry.sha256
                    headers["X-Linked-Size"] = str(entry.size)
                return Reply(f"{model}/{entry.path}", file=entry.file, headers=headers)
        return json_reply(
            {"Code": 404, "Message": f"no file {path}"},
            404,
            f"{model}/{path}",
            **{"X-Error-Code": "EntryNotFound", "X-Repo-Commit": self.commit(model)},
        )

    def _refuse(self, model: str, revision: str) -> Reply | None:
        code = ""
        if ".." in model.split("/") or not (self.root / model).is_dir():
            code = "RepoNotFound"
        elif revision not in ("main", "master", self.commit(model)):
            code = "RevisionNotFound"
        if not code:
            return None
        value = {"Code": 404, "Success": False, "Message": f"{code}: {model} at {revision}"}
        return json_reply(value, 404, f"{model}/", **{"X-Error-Code": code})

    def _listed(self, model: str) -> list[Entry]:
        """The files as the listing shows them, faults included."""
        listed = []
        for entry in self.entries(model):
            name, path, size, sha256 = f"{model}/{entry.path}", entry.path, entry.size, entry.sha256
            if self.faults.take("wrong_sha256", name):
                sha256 = hashlib.sha256(sha256.encode()).hexdigest()
            if self.faults.take("upper_sha256", name):
                sha256 = sha256.upper()
            if self.faults.take("no_sha256", name):
                sha256 = ""
            if self.faults.take("wrong_size", name):
                size += 1
            listed.append(Entry(path, entry.file, size, sha256, entry.oid))
            if self.faults.take("escape", name):
                listed.append(Entry(f"../{path}", entry.file, size, sha256, entry.oid))
        return listed

    def _entry(self, folder: Path, file: Path) -> Entry:
        stat = file.stat()
        key = (str(file), stat.st_size, stat.st_mtime_ns)
        with self._lock:
            if key not in self._known:
                sha256, sha1 = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % stat.st_size)
                with file.open("rb") as content:
                    while data := content.read(1 << 20):
                        sha256.update(data)
                        sha1.update(data)
                self._known[key] = sha256.hexdigest(), sha1.hexdigest()
        return Entry(str(file.relative_to(folder)), file, stat.st_size, *self._known[key])


def _credentials(token: str) -> set[str]:
    """How a token is shown: by the clients, and by git."""
    pair = base64.b64encode(f"oauth2:{token}".encode()).decode()
    return {f"Bearer {token}", f"Basic {pair}"}


def _packet(line: str) -> str:
    return f"{len(line) + 4:04x}{line}"
