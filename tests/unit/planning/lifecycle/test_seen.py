"""What no plan knows is named, and what a plan has put there is not."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.planning.lifecycle.seen import Seen, contents, strangers, trees
from deploys.planning.plan import HostPlan
from tests.unit.planning import plan_examples
from tests.unit.rendering import render_examples

PLAN = render_examples.PLANS["cpu"]
UNIT = "/etc/systemd/system/llama-server@.service"
KNOWN = ("/etc/sysctl.d/60-modelrack.conf", UNIT, "/opt/modelrack/engines/llama.cpp/1-0123456789ab")
WANTS = "/etc/systemd/system/multi-user.target.wants"


def said(**fields: Any) -> list[str]:
    machine = plan_examples.machine(ssh_ports=(22,))
    return list(strangers(PLAN, machine, Seen(**fields), KNOWN, {"modelrack"}))


@pytest.mark.parametrize(
    "fields",
    [
        {"files": KNOWN[:2], "users": ("modelrack",)},
        {"folders": ("/opt/modelrack/engines/llama.cpp", KNOWN[2])},
        {"folders": ("/data/models", "/data/models/.by-sha256")},
        # The version before it, and the list of what is in that.
        {
            "noted": ("/opt/modelrack/engines/vllm/0-0123456789ab",),
            "folders": (
                "/opt/modelrack/engines/vllm",
                "/opt/modelrack/engines/vllm/0-0123456789ab",
                "/opt/modelrack/engines/vllm/0-0123456789ab.txt",
            ),
        },
        {"enabled": (f"{WANTS}/{PLAN.services[0].unit}",), "files": (UNIT,)},
        {"folders": (PLAN.services[0].measured,)},
        {"ports": (("0.0.0.0", 22, "ssh.service"),)},
        {"ports": (("::", 111, "rpcbind.socket"),), "before": (22, 111)},
        # Of an appliance, by its image.
        {"files": ("/etc/systemd/system/modelrack-identity.service",)},
    ],
)
def test_what_is_planned_or_kept_is_no_stranger(fields: dict[str, Any]) -> None:
    assert said(**fields) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"files": ("/etc/sysctl.d/70-modelrack.conf",)}, "70-modelrack.conf is called, or says"),
        ({"additions": (f"{UNIT}.d/mine.conf",)}, "mine.conf adds to a unit, and no plan"),
        ({"folders": ("/opt/modelrack/engines/old",)}, "engines/old is in a folder of ours"),
        ({"folders": ("/data/models/old",)}, "/data/models/old is in a folder of ours"),
        ({"enabled": (f"{WANTS}/llama-server@other.service",)}, "starts a unit that no plan has"),
        ({"users": ("modelrack-old",)}, "user modelrack-old is called like one of ours"),
        ({"failed": ("modelrack-acme.service",)}, "modelrack-acme.service has failed"),
        ({"ports": (("0.0.0.0", 9999, "x.service"),)}, "port 9999 of 0.0.0.0 is open"),
        ({"ports": (("0.0.0.0", 443, ""),)}, "by a process"),
        ({"ports": (("0.0.0.0", 111, "x"),), "before": (22,)}, "port 111 of 0.0.0.0 is open"),
    ],
)
def test_a_stranger_is_named(fields: dict[str, Any], words: str) -> None:
    (sentence,) = said(**fields)
    assert words in sentence


def test_what_was_uploaded_has_to_be_what_its_name_says() -> None:
    seen = Seen(hashes={"/a": "1", "/b": "2"}, altered=("c",), broken=("gcc",))
    assert list(contents(seen, {"/a": "1", "/b": "3", "/missing": "4"})) == [
        "/b has other content",
        "c",
        "package gcc is half installed",
    ]


def test_a_build_has_to_be_what_was_packed() -> None:
    seen = Seen(trees={"/opt/x": {"bin/a": "1", "bin/b": "2", "bin/new": "3"}})
    assert list(trees(seen, {"/opt/x": {"bin/a": "1", "bin/b": "9", "lib/c": "4"}})) == [
        "/opt/x/bin/b is not what was built",
        "/opt/x/bin/new was not built, and is there",
        "/opt/x/lib/c is missing",
    ]


@pytest.mark.parametrize(("made", "count"), [(PLAN, 1), (render_examples.DRIVER, 0)])
def test_a_driver_has_files_although_nothing_is_to_be_installed_of_it(
    made: HostPlan, count: int
) -> None:
    seen = Seen(files=("/etc/modules-load.d/modelrack-gpu.conf",))
    machine = plan_examples.machine()
    assert len(list(strangers(made, machine, seen, (), ()))) == count
