"""The program that says how services stand, beside a systemctl that prints what it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from deploys.connection import programs
from deploys.remote.services import units

UNIT = "llama-server@r1.service"
# Prints what systemd prints of one start: seconds since the epoch where it knows that format, a
# date in UTC to the microsecond, and microseconds since the machine was booted.
SYSTEMCTL = """\
#!{python}
import json, sys, time
told = json.load(open({told!r}))
style = "pretty"
wanted = []
words = iter(sys.argv[1:])
for word in words:
    if word.startswith("--timestamp"):
        style = word.partition("=")[2] or next(words)
    elif word in ("-p", "--property") or word.startswith("--property="):
        wanted += (word.partition("=")[2] or next(words)).split(",")
if style == "unix" and told["version"] < 251:
    sys.exit("Invalid value: unix.")
date = "%a %Y-%m-%d %H:%M:%S UTC"
if style.startswith(("us", "\\u03bcs")):
    date = "%a %Y-%m-%d %H:%M:%S." + "%06d UTC" % (told["started"] % 1 * 10**6)
told["ExecMainStartTimestampMonotonic"] = round(
    (time.monotonic() - time.time() + told["started"]) * 10**6
)
date = time.strftime(date, time.gmtime(told["started"]))
told["ExecMainStartTimestamp"] = "@%d" % told["started"] if style == "unix" else date
for name in wanted:
    if name in told:
        print("%s=%s" % (name, told[name]))
"""
NOW = time.time()


def _ask(folder: Path, *, started: float, version: int = 252, **told: str) -> dict[str, Any]:
    """What the program says of one unit, started then, with folder/settings among its files."""
    answers = {
        "LoadState": "loaded",
        "ActiveState": "activating",
        "UnitFileState": "enabled",
        "NeedDaemonReload": "no",
        "MainPID": str(os.getpid()),
        "NRestarts": "0",
        **told,
        "started": started,
        "version": version,
    }
    (folder / "told.json").write_text(json.dumps(answers))
    systemctl = folder / "systemctl"
    systemctl.write_text(SYSTEMCTL.format(python=sys.executable, told=str(folder / "told.json")))
    systemctl.chmod(0o755)
    files = [str(folder / "unit"), str(folder / "settings")]
    question = {
        "unit": UNIT,
        "url": "http://127.0.0.1:1",
        "model": "r1",
        "context": 4096,
        "files": files,
        "measured": str(folder / "measured.json"),
        "ask": None,
        "vector": None,
    }
    run = subprocess.run(
        ["sh", "-c", programs.inline("services.units").get_raw_value()],
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "LC_ALL": "C"},
        **{"input": json.dumps([question]), "capture_output": True, "text": True, "timeout": 60},
    )
    assert run.returncode == 0, run.stderr
    state: dict[str, Any] = json.loads(run.stdout)[UNIT]
    return state


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a unit file and settings, both written 100 seconds ago."""
    for name in ("unit", "settings"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (NOW - 100, NOW - 100))
    return tmp_path


@pytest.mark.parametrize(("started", "stale"), [(-50, False), (-150, True)])
def test_a_file_that_was_written_since_the_start_is_noticed(
    started: int, stale: bool, folder: Path
) -> None:
    assert _ask(folder, started=NOW + started)["stale"] is stale
    # One of several is enough.
    os.utime(folder / "unit", (NOW - 1000, NOW - 1000))
    assert _ask(folder, started=NOW + started)["stale"] is stale


def test_a_file_that_is_gone_is_not_a_newer_one(folder: Path) -> None:
    (folder / "settings").unlink()
    assert _ask(folder, started=NOW - 50)["stale"] is False


def test_the_fields_are_those_of_systemd_and_ours(folder: Path) -> None:
    state = _ask(folder, started=NOW - 50)
    assert state.pop("answer") == "the unit is not active"
    assert state == {
        "load": "loaded",
        "active": "activating",
        "enabled": "enabled",
        "reload": "no",
        "pid": str(os.getpid()),
        "restarts": "0",
        "digest": None,
        "stale": False,
        "wrong": False,
        "measured": {},
    }


def test_what_does_not_answer_says_why(folder: Path) -> None:
    state = _ask(folder, started=NOW - 50, ActiveState="active")
    assert state["answer"].startswith("no answer: ")


@pytest.mark.parametrize(("started", "stale"), [(-50, False), (-150, True)])
def test_the_systemd_of_ubuntu_22_04_is_understood(started: int, stale: bool, folder: Path) -> None:
    state = _ask(folder, started=NOW + started, version=249)
    assert (state["load"], state["enabled"], state["stale"]) == ("loaded", "enabled", stale)


def test_a_server_without_models_has_to_answer_at_all(tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204 if self.server.server_port == good else 403)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    servers = [HTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
    good = servers[0].server_port
    try:
        for server in servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        answers = [
            units._answer({"url": f"http://127.0.0.1:{server.server_port}", "model": None})
            for server in servers
        ]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
    assert answers == [("ok", False), ("no answer: HTTP status 403", False)]


def test_each_adapter_is_asked_a_question_too() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(200, {"data": [{"id": name} for name in ("r1", "legal")]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = body["model"] in ("r1", "legal")
            said = {"choices": [{"message": {"content": "Hello"}}]}
            self._reply(200 if known else 404, said if known else {"error": "no such model"})

        def _reply(self, status: int, body: object) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    entry = {
        "url": f"http://127.0.0.1:{server.server_port}",
        "model": "r1",
        "context": 1,
        "ask": "generate",
        "vector": None,
    }
    try:
        answers = [
            units._answer({**entry, "adapters": adapters})
            for adapters in ([], ["legal"], ["legal", "medical"])
        ]
        unasked = units._answer({**entry, "ask": None, "adapters": ["medical"]})
    finally:
        server.shutdown()
        server.server_close()
    missing = "asked as medical: HTTP status 404: no such model"
    assert answers == [("ok", False), ("ok", False), (missing, True)]
    assert unasked == ("ok", False)
