"""What a machine of a group is told: its rank, its network, and whom its unit lets in."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploys.planning.gateway.firewall import FirewallPlan, Opening
from deploys.planning.options.record import accepted
from deploys.planning.plan import HostPlan
from deploys.rendering import firewall, page, render
from tests.unit.planning.group.group_examples import hca, node, planned
from tests.unit.rendering.render_examples import analyze, files, settings, unit

PLANS = {
    "vllm": {},
    "vllm, experts of all": {"performance": "throughput"},
    "sglang": {"engine": "sglang"},
    "sglang, experts of all": {"engine": "sglang", "performance": "throughput"},
    "vllm without cards": {"name": "cpu", "model": "qwen3-8b"},
}
_SERVER = re.compile(r"/(vllm|sglang)@\.service$")
EVERY_PLAN = pytest.mark.parametrize("asked", PLANS.values(), ids=PLANS.keys())


def both(asked: dict[str, Any]) -> list[dict[str, str]]:
    """The files of the head and of the machine beside it, by path."""
    found = [files(planned(**{**asked, "rank": rank})) for rank in (0, 1)]
    return [{path: file.content for path, file in each.items()} for each in found]


def told(contents: dict[str, str]) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(contents["/etc/modelrack/services/r1.yaml"])
    return read


def environment(contents: dict[str, str]) -> dict[str, str]:
    return settings(contents["/etc/modelrack/services/r1.env"])


def described(contents: dict[str, str]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(contents["/etc/modelrack/services/r1.group.json"])
    return read


def unit_of(contents: dict[str, str]) -> dict[str, list[str]]:
    (text,) = [text for path, text in contents.items() if _SERVER.search(path)]
    return unit(text)["Service"]


def test_vllm_is_told_where_the_head_is_and_who_answers() -> None:
    head, worker = map(told, both({}))
    assert {name: head.pop(name) for name in ("nnodes", "master-addr", "master-port")} == {
        "nnodes": 2,
        "master-addr": "10.9.0.11",
        "master-port": 8003,
    }
    assert head["distributed-executor-backend"] == "mp"
    assert (head["tensor-parallel-size"], head["pipeline-parallel-size"]) == (8, 2)
    assert head["decode-context-parallel-size"] == 8
    assert (head.pop("node-rank"), worker.pop("node-rank")) == (0, 1)
    assert worker.pop("headless") is True and "headless" not in head
    del worker["nnodes"], worker["master-addr"], worker["master-port"]
    assert head == worker


def test_vllm_shares_the_experts_of_all_machines() -> None:
    head, worker = map(told, both(PLANS["vllm, experts of all"]))
    assert head["data-parallel-size"] == worker["data-parallel-size"] == 16
    assert head["data-parallel-rpc-port"] == 8004 and head["enable-expert-parallel"] is True
    assert "tensor-parallel-size" not in head and "pipeline-parallel-size" not in head


def test_sglang_is_told_where_the_head_is() -> None:
    head, worker = map(told, both({"engine": "sglang"}))
    assert (head["nnodes"], head["dist-init-addr"]) == (2, "10.9.0.11:8003")
    assert (head.pop("node-rank"), worker.pop("node-rank")) == (0, 1)
    assert head == worker
    shared, _ = map(told, both(PLANS["sglang, experts of all"]))
    assert (shared["tensor-parallel-size"], shared["attn-dp-size"]) == (16, 16)
    assert "data-parallel-size" not in shared


@EVERY_PLAN
def test_the_pinned_version_takes_every_option(asked: dict[str, Any]) -> None:
    made = planned(**asked)
    (service,) = made.services
    known = accepted(service.engine, made.stack.engines[service.engine])
    for contents in both(asked):
        assert not {name for name in told(contents) if f"--{name}" not in known}


@EVERY_PLAN
def test_the_network_is_named_exactly(asked: dict[str, Any]) -> None:
    for rank, contents in enumerate(both(asked)):
        found = environment(contents)
        own = f"10.9.0.{11 + rank}"
        assert own in (found.get("VLLM_HOST_IP"), found.get("SGLANG_HOST_IP"))
        assert found["GLOO_SOCKET_IFNAME"] == "bond0"
        # A second equal sign, which is NCCL's: else it is a prefix, and bond01 one of these.
        assert found["NCCL_SOCKET_IFNAME"] == "=bond0"
        if asked.get("name") == "cpu":
            assert not any(name.startswith("NCCL_IB") for name in found)
        else:
            devices = [f"mlx5_{number}:1" for number in range(8)]
            assert found["NCCL_IB_HCA"] == f"={','.join(devices)}"
            assert "NCCL_IB_DISABLE" not in found and "NCCL_IB_GID_INDEX" not in found


def test_without_rdma_it_is_switched_off() -> None:
    machines = [node("h800", rank) for rank in (0, 1)]
    machines = [replace(each, fabric=replace(each.fabric, hcas=())) for each in machines]
    contents = {path: file.content for path, file in files(planned(there=machines)).items()}
    found = environment(contents)
    assert found["NCCL_IB_DISABLE"] == "1" and "NCCL_IB_HCA" not in found
    assert not any("infiniband" in each for each in unit_of(contents)["DeviceAllow"])
    assert described(contents)["gate"]["rdma"] is False


@EVERY_PLAN
def test_the_unit_lets_in_the_machines_of_the_group_and_their_devices(
    asked: dict[str, Any],
) -> None:
    for contents in both(asked):
        found = unit_of(contents)
        assert found["IPAddressDeny"] == ["any"]
        assert found["IPAddressAllow"] == ["localhost 10.9.0.11 10.9.0.12"]
        assert found["LoadCredential"] == ["%i.group:/etc/modelrack/secrets/%i.group"]
        (start,) = found["ExecStart"]
        assert start.startswith(
            "/usr/bin/python3 /opt/modelrack/bin/modelrack.pyz together --group"
            " /etc/modelrack/services/%i.group.json -- /opt/modelrack/engines/"
        )
        allowed = found.get("DeviceAllow", [])
        on_cards = asked.get("name") != "cpu"
        assert ("char-infiniband_verbs rw" in allowed) == on_cards
        assert found["Restart"] == ["always"]


def test_one_machine_has_none_of_it() -> None:
    made = planned("h20", machines=1, model="deepseek-r1")
    contents = {path: file.content for path, file in files(made).items()}
    assert not any("group" in path for path in contents)
    assert "together" not in unit_of(contents)["ExecStart"][0]
    assert unit_of(contents)["IPAddressAllow"] == ["localhost"]
    assert "LoadCredential" not in unit_of(contents)
    assert environment(contents)["NCCL_SOCKET_IFNAME"] == "lo"


@EVERY_PLAN
def test_the_group_is_described_to_what_starts_it(asked: dict[str, Any]) -> None:
    head, worker = map(described, both(asked))
    cards = 0 if asked.get("name") == "cpu" else 8
    engine = asked.get("engine", "vllm")
    assert head["service"] == worker["service"] == "r1"
    assert (head["rank"], worker["rank"]) == (0, 1)
    assert head["nodes"] == worker["nodes"] == ["10.9.0.11", "10.9.0.12"]
    assert head["port"] == worker["port"] == 8001
    assert head["secret"] == "/etc/modelrack/secrets/r1.group"
    assert (
        head["gate"]
        == worker["gate"]
        == {
            "python": f"/opt/modelrack/engines/{engine}/current/bin/python",
            "port": 8002,
            "cards": cards,
            "floor": 20.0 if cards else None,
            "rdma": bool(cards),
        }
    )
    asks = {"url": "http://127.0.0.1:8000", "model": "r1", "task": "generate", "vector": None}
    assert (head["question"], worker["question"]) == (asks, None)


@EVERY_PLAN
def test_machines_that_have_the_same_have_one_digest(asked: dict[str, Any]) -> None:
    head, worker = (described(contents)["digest"] for contents in both(asked))
    assert head == worker
    assert described(both({**asked, "context": 2048})[0])["digest"] != head


def test_another_network_device_restarts_a_machine_and_keeps_the_digest_of_the_group() -> None:
    def made(number: int) -> HostPlan:
        machines = [node("h800", rank) for rank in (0, 1)]
        hcas = (hca(number),)
        machines = [replace(each, fabric=replace(each.fabric, hcas=hcas)) for each in machines]
        return planned(there=machines)

    one, other = made(0), made(1)
    digests = [render.service(each, each.services[0])[1] for each in (one, other)]
    assert digests[0] != digests[1]
    of_group = [
        described({path: file.content for path, file in files(each).items()})["digest"]
        for each in (one, other)
    ]
    assert of_group[0] == of_group[1]


@EVERY_PLAN
def test_systemd_accepts_the_unit(asked: dict[str, Any], tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    contents = both(asked)[0]
    ((name, text),) = [each for each in contents.items() if _SERVER.search(each[0])]
    path = tmp_path / Path(name).name.replace("@.", "@r1.")
    path.write_text(re.sub(r"/usr/bin/python3|/opt/modelrack/\S+/bin/\w+", "/bin/true", text))
    verified = analyze("verify", "--man=no", path)
    about_it = [line for line in verified.stderr.splitlines() if path.name in line]
    assert about_it == []


def test_without_cards_the_command_of_vllm_finds_its_package() -> None:
    contents = both(PLANS["vllm without cards"])[0]
    (start,) = unit_of(contents)["ExecStart"]
    program = start.partition('"')[2].partition('"')[0]
    compile(program, "command", "exec")
    assert start.endswith('" serve --config /etc/modelrack/services/%i.yaml')
    # systemd would take these for its own.
    assert "%" not in program and "$" not in program


def test_the_page_shows_the_machines_and_what_each_holds() -> None:
    text = page.of("h800-02", node("h800", 1), planned(rank=1))
    for line in (
        "fabric    10.9.0.12 on bond0 (MTU 9000), 8 x RoCE 400 Gb/s to the cards by DMA-BUF",
        "group     r1 by 2 machines, which meet at ports 8001-8004 of the head",
        "rank 0  h800-01  10.9.0.11  309.4 GiB of weights on 8 cards, the head, which answers",
        "rank 1  h800-02  10.9.0.12  329.2 GiB of weights on 8 cards (this machine)",
        "all-reduce over its 16 cards must reach 20 GB/s before it loads",
        "serves deepseek-r1 through h800-01, over 2 machines",
    ):
        assert line in text


def test_the_firewall_opens_every_tcp_port_and_roce_to_the_group() -> None:
    opening = Opening(name="its group", ports=(), sources=("10.9.0.12", "fd00::2"), udp=(4791,))
    rules, *_ = firewall.files(FirewallPlan(openings=(opening,)))
    lines = [line.strip() for line in rules.content.splitlines() if "its group" in line]
    assert lines == [
        'ip saddr { 10.9.0.12/32 } meta l4proto tcp accept comment "its group"',
        'ip saddr { 10.9.0.12/32 } udp dport { 4791 } accept comment "its group"',
        'ip6 saddr { fd00::2/128 } meta l4proto tcp accept comment "its group"',
        'ip6 saddr { fd00::2/128 } udp dport { 4791 } accept comment "its group"',
    ]
