"""Running processes are told of other maps, and reloaded for another configuration alone.

HAProxy's master is a socket here that answers as 2.6 and 3.0 were seen to; tests/e2e has both.
"""

from __future__ import annotations

import io
import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.gateway import apply


class Master(socketserver.ThreadingUnixStreamServer):
    """Two processes: one serves, one ends what it has begun."""

    daemon_threads = True

    def __init__(self, path: Path, maps: dict[str, dict[str, list[str]]]) -> None:
        super().__init__(str(path), _Command)
        self.path = str(path)
        self.maps = maps
        self.coming: dict[str, list[str]] = {}
        self.digest = "one"

    def answer(self, command: str) -> str:
        if command == "show proc\n":
            rows = "# workers\n11 worker 0 x 2.6\n# old workers\n10 worker 1 x 2.6\n# programs\n"
            return f"#<PID> <type>\n9 master 1 x 2.6\n{rows}\n"
        target, _, rest = command.partition(" ")
        pid = target.removeprefix("@!")
        verb, _, rest = rest.partition(" ")
        if verb == "show" and rest.startswith("env"):
            return f"MODELRACK_DIGEST={self.digest}\n\n"
        if verb == "show":
            path = rest.split()[1]
            if path not in self.maps[pid]:
                return "Unknown map identifier. Please use #<id> or <file>.\n\n"
            return "".join(f"0x5f {each}\n" for each in self.maps[pid][path]) + "\n"
        if verb == "prepare":
            self.coming[pid] = []
            return "New version created: 4\n\n"
        if verb == "add":
            head, _, payload = rest.partition(" <<\n")
            assert head.split()[1] == "@4" and payload.endswith("\n\n")
            self.coming[pid] += payload.splitlines()[:-1]
            return "\n"
        assert verb == "commit" and rest.split()[1] == "@4"
        self.maps[pid][rest.split()[2]] = self.coming.pop(pid)
        return "\n"


class _Command(socketserver.StreamRequestHandler):
    server: Master

    def handle(self) -> None:
        self.wfile.write(self.server.answer(self.rfile.read().decode()).encode())


@pytest.fixture
def keys(tmp_path: Path) -> str:
    return str(tmp_path / "keys.map")


@pytest.fixture
def master(tmp_path: Path, keys: str) -> Iterator[Master]:
    path = tmp_path / "master.sock"
    before = {pid: {keys: ["aa alice", "bb bob the second"]} for pid in ("10", "11")}
    with Master(path, before) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *words: str,
    **wanted: Any,
) -> Any:
    """The program with this on its standard input; what it prints."""
    asked = {"unit": "gateway.service", "digest": "one", "maps": [], "certificates": [], **wanted}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asked)))
    monkeypatch.setattr(sys, "argv", ["apply.py", *words])
    assert apply.main() == 0
    printed = capsys.readouterr().out
    return json.loads(printed) if printed else None


def test_maps_are_replaced_in_old_processes_too(
    master: Master,
    keys: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path(keys).write_text("aa alice\nbb bob the second\n")
    looked = run(monkeypatch, capsys, "--look", master=master.path, maps=[keys])
    assert looked == {"running": True, "maps": [], "reload": False}
    # More than a command may be long.
    lines = ["aa alice", *(f"{number:064} user-{number}" for number in range(1000))]
    Path(keys).write_text("\n".join(lines) + "\n")
    assert run(monkeypatch, capsys, "--look", master=master.path, maps=[keys])["maps"] == [keys]
    run(monkeypatch, capsys, master=master.path, maps=[keys])
    assert [master.maps[pid][keys] for pid in ("10", "11")] == [lines, lines]
    Path(keys).write_text("")
    run(monkeypatch, capsys, master=master.path, maps=[keys])
    assert [master.maps[pid][keys] for pid in ("10", "11")] == [[], []]


def test_an_old_process_without_such_a_map_is_left_alone(
    master: Master,
    keys: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del master.maps["10"][keys]
    Path(keys).write_text("aa alice\n")
    run(monkeypatch, capsys, master=master.path, maps=[keys])
    assert master.maps == {"10": {}, "11": {keys: ["aa alice"]}}


def test_another_configuration_is_a_reload(
    master: Master, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = []

    def reload(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        called.append(command)
        master.digest = "two"
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(apply.subprocess, "run", reload)
    assert run(monkeypatch, capsys, "--look", master=master.path, digest="two")["reload"]
    run(monkeypatch, capsys, master=master.path, digest="two")
    run(monkeypatch, capsys, master=master.path, digest="two")
    assert called == [["systemctl", "reload", "gateway.service"]]


def test_what_does_not_run_needs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = str(tmp_path / "nowhere")
    looked = run(monkeypatch, capsys, "--look", master=nowhere, maps=[str(tmp_path / "keys.map")])
    assert looked == {"running": False, "maps": [], "reload": False}
