"""Read a repository through its hub's own client: `python -m deploys.control.hub_clients`.

A separate program, because importing a client costs a quarter of a second, both configure logging
for the whole process, and a listing that hangs must not block the other machines. Takes a request
as JSON on standard input, so that a token is on no command line, and prints an answer as JSON:

    {"kind", "endpoint", "repository", "revision", "patterns", "token", "small"}
    {"revision", "files": [{"path", "size", "sha256"}]} or {"problem", "status"}

or, of a request that names documents, at a revision from such a listing:

    {"kind", "endpoint", "repository", "revision", "token",
     "texts": [{"path", "size", "sha256"}], "heads": [{"path", "size"}]}
    {"texts": {path: text}, "heads": {path: metadata}} or {"problem", "status"}

`revision` is resolved to a commit where the hub can do so. Hugging Face's API does. ModelScope's
API for branches and tags only has names and dates; but its repositories are git repositories, and
what `git ls-remote` would ask for is one request. Its listings and files accept a commit.

Files that match the patterns and are listed without a sha256 are fetched and hashed, up to `small`
bytes each. For these, Hugging Face lists git's own digest, which is checked. No client reads the
beginning of a file, as the header of a GGUF is: that is the one thing that is asked without them.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import re
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploys.remote.hubs import documents

# The same JSON as in deploys/remote/hubs/listing.py.
ListingRequest = dict[str, Any]
ListingAnswer = dict[str, Any]
# Downloads one file of the repository at the commit into a folder.
Download = Callable[[str, str], "str | Path"]


def answer(request: ListingRequest) -> ListingAnswer:
    """Return what the hub has, or the problem and its HTTP status, 0 without a response."""
    try:
        return {"modelscope": _modelscope, "huggingface": _huggingface}[request["kind"]](request)
    except Exception as error:  # Each client has a dozen kinds of its own, and all mean no listing.
        response = getattr(error, "response", None)
        status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
        if isinstance(error, urllib.error.HTTPError):
            status = error.code
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        text = lines[0] if lines else type(error).__name__
        return {"problem": text.replace(request["token"] or "\0", "***"), "status": status or 0}


def _modelscope(request: ListingRequest) -> ListingAnswer:
    from modelscope_hub import HubApi

    # An empty token is "no token"; None would read the one that this user is logged in with.
    api = HubApi(endpoint=request["endpoint"], token=request["token"] or "")
    repository, revision = request["repository"], request["revision"]

    def download(path: str, folder: str) -> Path:
        return api.download_file(repository, "model", path, revision=revision, local_dir=folder)

    if "texts" in request:
        return _documents(request, download)
    revision = _commit(request) or revision
    found = api.list_repo_files(repository, "model", revision=revision, recursive=True)
    files = [
        {"path": file.path, "size": file.size, "sha256": file.sha256 or ""}
        for file in found
        if file.type == "blob"
    ]
    return {"revision": revision, "files": _hashed(request, files, {}, download)}


def _huggingface(request: ListingRequest) -> ListingAnswer:
    from huggingface_hub import HfApi, RepoFile

    # False is "no token"; None would take the one that this user is logged in with.
    api = HfApi(endpoint=request["endpoint"], token=request["token"] or False)
    repository, commit = request["repository"], request["revision"]

    def download(path: str, folder: str) -> str:
        return api.hf_hub_download(repository, path, revision=commit, local_dir=folder)

    if "texts" in request:
        return _documents(request, download)
    commit = api.model_info(repository, revision=commit, timeout=30).sha
    found = list(api.list_repo_tree(repository, revision=commit, recursive=True))
    blobs = [file for file in found if isinstance(file, RepoFile)]
    files = [
        {"path": file.path, "size": file.size, "sha256": file.lfs.sha256 if file.lfs else ""}
        for file in blobs
    ]
    oids = {file.path: file.blob_id for file in blobs if not file.lfs}
    return {"revision": commit, "files": _hashed(request, files, oids, download)}


def _commit(request: ListingRequest) -> str | None:
    """Return the commit of a branch or tag on ModelScope, or None if the hub does not give it."""
    if re.fullmatch(r"[0-9a-f]{40}", request["revision"]):
        return str(request["revision"])
    address = f"{request['endpoint']}/models/{request['repository']}.git/info/refs"
    question = urllib.request.Request(f"{address}?service=git-upload-pack")
    if request["token"]:
        pair = base64.b64encode(f"oauth2:{request['token']}".encode()).decode()
        question.add_unredirected_header("Authorization", f"Basic {pair}")
    try:
        with urllib.request.urlopen(question, timeout=20) as reply:
            references = reply.read(1 << 20)
    except OSError:
        return None
    name = re.escape(request["revision"].encode())
    found = re.search(rb"([0-9a-f]{40}) refs/(?:heads|tags)/" + name + rb"[\n\0]", references)
    return found[1].decode() if found else None


def _hashed(
    request: ListingRequest, files: list[dict[str, Any]], oids: dict[str, str], download: Download
) -> list[dict[str, Any]]:
    for file in files:
        path = file["path"]
        wanted = any(fnmatch.fnmatchcase(path, pattern) for pattern in request["patterns"])
        # A path that leads out of the folder is refused by who reads this; it is not fetched.
        unsafe = path.startswith("/") or ".." in path.split("/") or "\\" in path
        if file["sha256"] or not wanted or unsafe or file["size"] > request["small"]:
            continue
        content = _content(path, download)
        named = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if len(content) != file["size"] or oids.get(path, named) != named:
            raise ValueError(f"the hub sends other content of {path} than it lists")
        file["sha256"] = hashlib.sha256(content).hexdigest()
    return files


def _documents(request: ListingRequest, download: Download) -> ListingAnswer:
    texts = documents.texts(request, lambda path: _content(path, download))
    return {"texts": texts, "heads": documents.heads(request)}


def _content(path: str, download: Download) -> bytes:
    with tempfile.TemporaryDirectory(prefix="modelrack-") as folder:
        return Path(download(path, folder)).read_bytes()


if __name__ == "__main__":
    print(json.dumps(answer(json.load(sys.stdin))))
