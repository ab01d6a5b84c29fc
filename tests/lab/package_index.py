"""Fetch one file of a project from the Python package index that this machine is set up for.

``pip download`` would do it too, but prepares a source distribution's metadata in an isolated build
environment first, which takes longer than the download. This asks the simple API (PEP 503, 691).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import sys
import urllib.request
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"


def download(project: str, filename: str, folder: Path) -> Path:
    """Save ``filename`` of ``project`` in ``folder``; the caller checks its hash."""
    settings = _pip_settings()
    page = f"{_index_url(settings).rstrip('/')}/{project}/"
    with _open(page, settings, Accept=ACCEPT) as reply:
        body, kind, page = reply.read(), reply.headers.get_content_type(), reply.url
    if kind.endswith("+json"):
        links = {file["filename"]: file["url"] for file in json.loads(body)["files"]}
    else:
        parser = _Links()
        parser.feed(body.decode())
        links = {unquote(urlsplit(link).path.rpartition("/")[2]): link for link in parser.links}
    if filename not in links:
        raise LookupError(f"the package index has no {filename} of {project}")
    target = folder / filename
    with _open(urljoin(page, links[filename]), settings) as reply, target.open("wb") as file:
        shutil.copyfileobj(reply, file, 1 << 20)
    return target


def _index_url(settings: dict[str, str]) -> str:
    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if value := os.environ.get(name):
            return value.rpartition("=")[2] if name == "UV_DEFAULT_INDEX" else value
    if value := settings.get("index-url"):
        return value
    # Nothing is configured: what pip itself uses then. No address of a registry is kept here.
    ask = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    return _pip(["-c", ask]).strip()


def _pip_settings() -> dict[str, str]:
    """pip's configuration by option name; what is set for all commands."""
    settings = {}
    for line in _pip(["-m", "pip", "config", "list"]).splitlines():
        key, _, value = line.partition("=")
        scope, _, option = key.rpartition(".")
        if scope in ("global", ":env:"):
            settings[option] = value.strip("'\"")
    return settings


def _pip(arguments: list[str]) -> str:
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        # An environment made by uv has no pip; uv can lend one.
        lent = ["uv", "run", "--no-project", "--with", "pip", "python", *arguments]
        done = subprocess.run(lent, capture_output=True, text=True, check=True)
    return done.stdout


def _open(url: str, settings: dict[str, str], **headers: str):  # type: ignore[no-untyped-def]
    parts = urlsplit(url)
    if "@" in parts.netloc:
        login, _, host = parts.netloc.rpartition("@")
        url = urlunsplit(parts._replace(netloc=host))
        headers["Authorization"] = f"Basic {base64.b64encode(unquote(login).encode()).decode()}"
    context = ssl.create_default_context()
    if certificates := settings.get("cert"):
        context.load_verify_locations(cafile=certificates)
    request = urllib.request.Request(url, headers=headers)
    return urllib.request.urlopen(request, timeout=180, context=context)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (link := dict(attrs).get("href")):
            self.links.append(link)
