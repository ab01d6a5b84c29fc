"""What gives a machine's weights to others: rendered, and read back as systemd would.

nginx reads it on machines, in tests/e2e/test_peers.py.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from deploys.planning import unit_names
from deploys.rendering import render
from tests.unit.rendering.render_examples import PLANS, analyze, unit

PEERS = pytest.mark.parametrize("name", ["peers", "peers of six"])


@pytest.fixture
def peer_files(name: str, tmp_path: Path) -> dict[str, Path]:
    """What gives weights to others, as files in a folder."""
    made = PLANS[name]
    assert made.peer
    found = {}
    for rendered in render.peer(made, made.peer):
        found[rendered.path] = tmp_path / Path(rendered.path).name
        found[rendered.path].write_text(rendered.content)
    return found


@PEERS
def test_systemd_accepts_the_unit_of_the_peer(name: str, peer_files: dict[str, Path]) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    path = peer_files[unit_names.file(unit_names.PEER)]
    path.write_text(re.sub(r"(?m)^(ExecStart=)\S+", r"\1/bin/true", path.read_text()))
    verified = analyze("verify", "--man=no", path)
    about_it = [line for line in verified.stderr.splitlines() if path.name in line]
    assert (verified.returncode, about_it) == (0, [])
    scored = analyze("security", "--offline=true", "--threshold=20", path)
    assert scored.returncode == 0, scored.stdout[-2000:] + scored.stderr


def test_a_peer_is_there_for_its_network_alone() -> None:
    made = PLANS["peers"]
    assert made.peer
    service, configuration = render.peer(made, made.peer)
    run = unit(service.content)["Service"]
    assert (run["IPAddressDeny"], run["IPAddressAllow"]) == (["any"], ["10.8.0.0/24"])
    assert (run["SocketBindDeny"], run["SocketBindAllow"]) == (["any"], ["ipv4:tcp:8788"])
    assert (run["DynamicUser"], run["ReadOnlyPaths"]) == (["yes"], ["/data"])
    lines = [line.strip() for line in configuration.content.splitlines()]
    assert lines.index("allow 10.8.0.0/24;") + 1 == lines.index("deny all;")
    assert [line for line in lines if line.startswith("listen")] == ["listen 10.8.0.5:8788;"]


def test_nobody_is_answered_before_it_is_known_who_asks() -> None:
    """nginx's `return` is carried out before `allow` and `deny` are."""
    made = PLANS["peers"]
    assert made.peer
    lines = render.peer(made, made.peer)[1].content.splitlines()
    assert not [line for line in lines if line.strip().startswith("return")]
