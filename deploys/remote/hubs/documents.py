"""What a repository says of its weights, read from its hub: documents, and headers of weights.

Used by a machine if the operator's computer reaches no hub, and there for headers alone: no hub's
client reads the beginning of a file. Takes a request as JSON on standard input and prints an
answer, both in the format of deploys/control/hub_clients.py.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
from collections.abc import Callable
from typing import Any

from ..formats import gguf, gguf_metadata, lora, safetensors
from ..lib.failure import Failure
from . import listing

# The same JSON as in deploys/control/hub_clients.py.
DocumentsRequest = dict[str, Any]
# Gives the content of a file of the repository.
Content = Callable[[str], bytes]


def answer(request: DocumentsRequest) -> dict[str, Any]:
    """Return the documents and headers, or why they cannot be had."""
    return listing.attempt(_answer, request)


def _answer(request: DocumentsRequest) -> dict[str, Any]:
    sizes = {file["path"]: file["size"] for file in request["texts"]}

    def content(path: str) -> bytes:
        with listing.opened(request, listing.address(request, path)) as reply:
            return reply.read(sizes[path] + 1)

    return {"texts": texts(request, content), "heads": heads(request)}


def texts(request: DocumentsRequest, content: Content) -> dict[str, str]:
    """Return the documents by path; raise BadResponse if one is not what was listed."""
    found = {}
    for file in request["texts"]:
        path, data = file["path"], content(file["path"])
        digest = file["sha256"].lower()
        if len(data) != file["size"] or digest not in ("", hashlib.sha256(data).hexdigest()):
            raise listing.BadResponse(f"the hub sends other content of {path} than it lists")
        found[path] = data.decode("utf-8-sig", "replace")
    return found


def heads(request: DocumentsRequest) -> dict[str, dict[str, Any]]:
    """Return what the headers of files say, by path, and read no more of the files than that.

    Of a GGUF that is its metadata, of safetensors what they say as an adapter.
    """
    found = {}
    for file in request["heads"]:
        path, size = file["path"], file["size"]
        longest = gguf.LONGEST_HEAD if path.lower().endswith(".gguf") else safetensors.LONGEST
        part = {"Range": f"bytes=0-{max(1, min(size, longest)) - 1}"}
        with listing.opened(request, listing.address(request, path), public=part) as reply:
            try:
                found[path] = _head(_Beginning(reply), size, path)
            except Failure as failure:
                raise listing.BadResponse(str(failure)) from failure
    return found


def _head(read: gguf.Read, size: int, path: str) -> dict[str, Any]:
    if path.lower().endswith(".gguf"):
        _, header = gguf.beginning(read, size, path)
        return gguf_metadata.metadata(header) | gguf_metadata.of_tensors(header)
    length = safetensors.header_length(read(min(size, 512)), size, path)
    tensors = safetensors.parse(read(8 + length)[8:], path).tensors
    return lora.of_peft({name: each.shape for name, each in tensors.items()})


class _Beginning:
    """The first bytes of a response, of which each call reads on as far as it needs."""

    def __init__(self, reply: http.client.HTTPResponse) -> None:
        self._reply, self._data = reply, b""

    def __call__(self, count: int) -> bytes:
        if count > len(self._data):
            self._data += self._reply.read(count - len(self._data))
        if len(self._data) < count:
            raise listing.BadResponse("the hub sends less of a file than it lists")
        return self._data[:count]


def main() -> int:
    """Answer every request of the list on standard input."""
    print(json.dumps([answer(request) for request in json.load(sys.stdin)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
