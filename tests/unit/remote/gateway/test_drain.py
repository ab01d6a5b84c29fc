"""Which copies a gateway is told not to ask, and when it has let go of them.

HAProxy's master is a socket that answers in the words of 2.6 and 3.0; tests/e2e has both.
"""

from __future__ import annotations

import io
import json
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.gateway import drain


@dataclass
class Server:
    """A line of the configuration, in one process."""

    backend: str
    name: str
    drained: bool = False
    up: bool = True
    # Requests at each look; the last stays.
    requests: list[int] = field(default_factory=lambda: [0])


class Master(socketserver.ThreadingUnixStreamServer):
    """A process that serves, 11, and one that only ends what it has begun, 10."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Command)
        self.path = str(path)
        self.servers: dict[str, list[Server]] = {"11": [], "10": []}
        self.commands: list[str] = []

    def answer(self, command: str) -> str:
        if command == "show proc\n":
            rows = "# workers\n11 worker 0 x 2.6\n# old workers\n10 worker 1 x 2.6\n# programs\n"
            return f"#<PID> <type>\n9 master 1 x 2.6\n{rows}\n"
        target, _, rest = command.strip().partition(" ")
        there = self.servers[target.removeprefix("@!")]
        if rest == "show servers state":
            names = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state"
            lines = [
                f"3 {each.backend} 1 {each.name} 127.0.0.1 2 {8 if each.drained else 0}"
                for each in there
            ]
            return "\n".join(("1", names, *lines, "", ""))
        if rest == "show stat":
            lines = ["api,FRONTEND,,,4,9,OPEN,"]
            for each in there:
                busy = each.requests.pop(0) if len(each.requests) > 1 else each.requests[0]
                status = "DOWN" if not each.up else "DRAIN" if each.drained else "UP 1/3"
                lines += [
                    f"{each.backend},{each.name},0,0,{busy},9,{status},",
                    f"{each.backend},BACKEND,0,0,{busy},9,UP,",
                ]
            return "\n".join(("# pxname,svname,qcur,qmax,scur,smax,status,", *lines, "", ""))
        self.commands.append(rest)
        _, _, place, _, state = rest.split()
        assert target == "@!11", "what ends is left alone"
        for each in there:
            if f"{each.backend}/{each.name}" == place:
                each.drained = state == "drain"
        return "\n"


class _Command(socketserver.StreamRequestHandler):
    server: Master

    def handle(self) -> None:
        self.wfile.write(self.server.answer(self.rfile.read().decode()).encode())


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    with Master(tmp_path / "master.sock") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def run(master: Master, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def program(*words: str, **wanted: Any) -> tuple[int, Any, str]:
        asked = {"master": master.path, "machines": ["b"], "away": True, "patience": 60, **wanted}
        monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(asked)))
        monkeypatch.setattr(sys, "argv", ["drain.py", *words])
        code = drain.main()
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else None, printed.err

    monkeypatch.setattr(drain, "_PAUSE", 0)
    return program


def test_it_waits_for_what_was_begun_in_any_process(master: Master, run: Run) -> None:
    busy = Server("service-r1", "b", requests=[2, 2, 1, 1, 0])
    ending = Server("service-r1", "b", requests=[3, 3, 3, 0])
    master.servers = {"11": [Server("service-r1", "a"), busy], "10": [ending]}
    assert run("--look")[1] == {"due": True, "alone": []}
    assert master.commands == []
    assert run()[0] == 0
    assert master.commands == ["set server service-r1/b state drain"]
    assert (busy.requests, ending.requests) == ([0], [0])
    assert run("--look")[1] == {"due": False, "alone": []}


def test_what_other_machines_ask_is_theirs_to_drain(master: Master, run: Run) -> None:
    master.servers["11"] = [
        *(Server("service-r1", name) for name in ("a", "b")),
        Server("local-r1", "b", requests=[4]),
    ]
    assert run()[0] == 0
    assert master.commands == ["set server service-r1/b state drain"]


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([], id="there is no other"),
        pytest.param([Server("service-r1", "a", up=False)], id="the other is down"),
        pytest.param([Server("service-r1", "a", drained=True)], id="the other is drained"),
        pytest.param([Server("service-v3", "a")], id="the other has another model"),
    ],
)
def test_a_copy_that_nothing_stands_in_for_is_used_all_the_while(
    master: Master, run: Run, others: list[Server]
) -> None:
    master.servers["11"] = [*others, Server("service-r1", "b", requests=[5])]
    assert run("--look")[1] == {"due": False, "alone": ["r1"]}
    assert run()[0] == 0
    assert master.commands == []


def test_who_still_has_requests_is_named(master: Master, run: Run) -> None:
    master.servers["11"] = [Server("service-r1", "a"), Server("service-r1", "b", requests=[1])]
    code, _, said = run(patience=0)
    assert code == 1
    assert said == "after 0 seconds r1 of b still has requests\n"


def test_it_is_asked_again_and_has_to_answer(master: Master, run: Run) -> None:
    copy = Server("service-r1", "b", drained=True, up=False)
    master.servers["11"] = [Server("service-r1", "a"), copy]
    assert run("--look", away=False)[1] == {"due": True, "alone": []}
    code, _, said = run(away=False, patience=0)
    assert (code, said) == (1, "after 0 seconds r1 of b does not answer\n")
    copy.up = True
    assert run(away=False)[0] == 0
    assert master.commands == ["set server service-r1/b state ready"]
    assert run("--look", away=False)[1] == {"due": False, "alone": []}


def test_where_no_gateway_runs_there_is_nothing_to_do(master: Master, run: Run) -> None:
    assert run("--look", master="/nowhere")[1] == {"due": False, "alone": []}
    assert run(master="/nowhere")[0] == 0
    assert master.commands == []
