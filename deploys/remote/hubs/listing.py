"""A repository's listing, fetched by a machine if the operator's computer reaches no hub.

The hubs' own clients would have to be installed first, from an index that may be just as
unreachable; so this sends the same requests with the standard library alone. Takes requests as a
JSON list on standard input, so that a token is in no command line, and prints a list of answers;
both have the format of deploys/control/hub_clients.py.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import http.client
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

# Seconds without a byte after which a hub counts as out of reach.
SILENCE = 20
# A listing is at most this long; the largest known repository takes half a megabyte.
LONGEST = 64 << 20
# ModelScope cuts a listing off here.
ENTRIES = 3000

# The same JSON as in deploys/control/hub_clients.py.
ListingRequest = dict[str, Any]
Files = list[dict[str, Any]]


class BadResponse(Exception):
    """The hub's answer cannot be used."""


def answer(request: ListingRequest) -> dict[str, Any]:
    """Return what the hub lists, or why it does not.

    In the latter case `status` is the HTTP status, or 0 without a readable answer.
    """
    lister = {"modelscope": _modelscope, "huggingface": _huggingface}[request["kind"]]
    return attempt(lister, request)


def attempt(
    ask: Callable[[ListingRequest], dict[str, Any]], request: ListingRequest
) -> dict[str, Any]:
    """Return what `ask` gets of the hub, or the problem and its HTTP status."""
    try:
        return ask(request)
    except urllib.error.HTTPError as error:
        return {"problem": f"{error.code} {error.reason}", "status": error.code}
    except (OSError, http.client.HTTPException, BadResponse) as error:
        return {"problem": str(getattr(error, "reason", error)), "status": 0}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return {"problem": f"the answer cannot be read ({error})", "status": 0}


def _modelscope(request: ListingRequest) -> dict[str, Any]:
    repository, revision = request["repository"], request["revision"]
    revision = _commit(request) or revision
    query = urlencode({"Revision": revision, "Recursive": "True"})
    value, _ = _get_json(request, f"/api/v1/models/{quote(repository)}/repo/files?{query}")
    data = value["Data"]
    entries = data["Files"] if isinstance(data, dict) else data
    if len(entries) >= ENTRIES:
        raise BadResponse(f"the listing has {ENTRIES} entries and may go on")
    files = [
        {
            "path": str(entry["Path"]),
            "size": int(entry["Size"]),
            "sha256": entry.get("Sha256") or "",
        }
        for entry in entries
        if entry.get("Type", "blob") == "blob"
    ]

    return {"revision": revision, "files": _hashed({**request, "revision": revision}, files, {})}


def _huggingface(request: ListingRequest) -> dict[str, Any]:
    repository = quote(request["repository"])
    at = quote(request["revision"], safe="")
    commit = str(_get_json(request, f"/api/models/{repository}/revision/{at}")[0]["sha"])
    files, oids = [], {}
    page = f"/api/models/{repository}/tree/{quote(commit, safe='')}?recursive=true&expand=false"
    while page:
        entries, link = _get_json(request, page)
        for entry in entries:
            if entry["type"] == "file":
                large = entry.get("lfs") or {}
                path, digest = str(entry["path"]), large.get("oid") or ""
                files.append({"path": path, "size": int(entry["size"]), "sha256": digest})
                if not digest:
                    oids[path] = entry["oid"]
        following = re.search(r'<([^>]+)>;\s*rel="next"', link)
        page = following[1] if following else ""

    return {"revision": commit, "files": _hashed({**request, "revision": commit}, files, oids)}


def address(request: ListingRequest, path: str) -> str:
    """Return where a file of the repository is at its revision, below the hub's own address."""
    repository, revision = quote(request["repository"]), request["revision"]
    if request["kind"] == "huggingface":
        return f"/{repository}/resolve/{quote(revision, safe='')}/{quote(path)}"
    query = urlencode({"Revision": revision, "FilePath": path}, quote_via=quote)
    return f"/api/v1/models/{repository}/repo?{query}"


def _commit(request: ListingRequest) -> str | None:
    """Return the commit of a branch or tag on ModelScope, or None if the hub does not report it."""
    if re.fullmatch(r"[0-9a-f]{40}", request["revision"]):
        return str(request["revision"])
    path = f"/models/{quote(request['repository'])}.git/info/refs?service=git-upload-pack"
    token = request["token"]
    basic = base64.b64encode(f"oauth2:{token}".encode()).decode() if token else ""
    try:
        references, _ = _get(request, path, 1 << 20, {"Authorization": f"Basic {basic}"})
    except (OSError, http.client.HTTPException, BadResponse):
        return None
    name = re.escape(request["revision"].encode())
    found = re.search(rb"([0-9a-f]{40}) refs/(?:heads|tags)/" + name + rb"[\n\0]", references)
    return found[1].decode() if found else None


def _hashed(request: ListingRequest, files: Files, oids: dict[str, str]) -> Files:
    """Return the files, with a sha256 added where the hub lists none.

    Only files that match the patterns and are small are fetched for that.
    """
    for file in files:
        path = file["path"]
        wanted = any(fnmatch.fnmatchcase(path, pattern) for pattern in request["patterns"])
        # A path that leads out of the folder is refused by who reads this; it is not fetched.
        unsafe = path.startswith("/") or ".." in path.split("/") or "\\" in path
        if file["sha256"] or not wanted or unsafe or file["size"] > request["small"]:
            continue
        content, _ = _get(request, address(request, path), file["size"])
        named = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if len(content) != file["size"] or oids.get(path, named) != named:
            raise BadResponse(f"the hub sends other content of {path} than it lists")
        file["sha256"] = hashlib.sha256(content).hexdigest()
    return files


def _get_json(request: ListingRequest, path: str) -> tuple[Any, str]:
    body, link = _get(request, path, LONGEST)
    return json.loads(body), link


def _get(
    request: ListingRequest, path: str, most: int, private: dict[str, str] | None = None
) -> tuple[bytes, str]:
    """Return the body and the Link header of a response."""
    with opened(request, path, private) as reply:
        body = reply.read(most + 1)
        if len(body) > most:
            raise BadResponse(f"the answer is longer than {most} bytes")
        return body, reply.headers.get("Link") or ""


def opened(
    request: ListingRequest,
    path: str,
    private: dict[str, str] | None = None,
    public: dict[str, str] | None = None,
) -> http.client.HTTPResponse:
    """Return the response to a request, with these headers, that is still to be read.

    A token, and what is private, is sent to the hub and to nobody it redirects to.
    """
    home = request["endpoint"].rstrip("/")
    where = home + path if path.startswith("/") else path
    question = urllib.request.Request(where, headers={"User-Agent": "modelrack", **(public or {})})
    if request["token"] and where.startswith(home + "/"):
        headers = private or {"Authorization": f"Bearer {request['token']}"}
        if request["kind"] == "modelscope":
            headers = {**headers, "Cookie": f"m_session_id={request['token']}"}
        for name, value in headers.items():
            question.add_unredirected_header(name, value)
    reply: http.client.HTTPResponse = urllib.request.urlopen(question, timeout=SILENCE)
    return reply


def main() -> int:
    """Answer every request of the list on standard input."""
    print(json.dumps([answer(request) for request in json.load(sys.stdin)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
