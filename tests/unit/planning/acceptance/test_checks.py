"""What is held against a machine, and that each check fails where it has to."""

from __future__ import annotations

import string
from types import SimpleNamespace
from typing import Any

import pytest

from deploys.planning.acceptance import api, cards, engine, fabric, host, performance, soak
from deploys.planning.acceptance.check import AcceptanceCheck, failed, is_accepted, not_run
from deploys.planning.acceptance.engine import AskedService, share_of
from deploys.planning.acceptance.limits import Limits, disk_limit, limits_of
from deploys.planning.acceptance.questions import QUESTIONS, KnownQuestion, questions_of
from deploys.planning.acceptance.sentences import NAMES, SENTENCES
from deploys.planning.gateway.firewall import FirewallPlan, Opening
from deploys.planning.gateway.key import Key
from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.hardware.gpus import ACCELERATORS
from deploys.planning.inputs.refusal import Refusal
from tests.unit import ROOT

LIMITS = Limits(disk_read=1.0, disk_write=0.5, source="a test")
CARD: dict[str, Any] = {
    **{"index": 1, "address": "0000:c1:00.0", "lanes": 16, "lanes_max": 16},
    **{"clock": 1400, "clock_max": 1410, "temperature": 50, "generation_max": 4},
    **{"corrected": 0, "uncorrected": 0, **dict.fromkeys(cards.REASONS, False)},
}
LOOK: dict[str, Any] = {
    **{"deployed": {"a": 1}, "failed_units": [], "host_uncorrected": 0, "cards": [CARD]},
    **{"cards_error": "", "xids": []},
    "disk": {"path": "/data", "read": 2e9, "write": 1e9, "error": ""},
}


def why(checks: Any) -> list[str]:
    return [check.why() for check in checks if check.is_failure]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"deployed": None}, ["nothing is deployed here: run deploys/full.py first"]),
        (
            {"deployed": {"a": 2}},
            ["a is deployed otherwise than planned: run deploys/full.py first"],
        ),
        ({"failed_units": ["x.service"]}, ["x.service has failed"]),
        ({"host_uncorrected": 3}, ["the host's memory has 3 uncorrected errors"]),
        (
            {"disk": {**LOOK["disk"], "read": 3e8}},
            ["the disk of /data is slow: 0.3 GB/s, and 1 are wanted"],
        ),
    ],
)
def test_the_host(changes: dict[str, Any], said: list[str]) -> None:
    assert why(host.checks((), {"a": 1}, {**LOOK, **changes}, LIMITS)) == said


def test_a_disk_that_cannot_be_measured_is_a_failure() -> None:
    full = {**LOOK["disk"], "error": "less than 16 GiB are free"}
    found = list(host.checks((), {"a": 1}, {**LOOK, "disk": full}, LIMITS))
    assert [check.name for check in found if check.is_failure] == ["disk read", "disk write"]


def test_a_plan_that_is_refused_is_a_failure_in_its_own_words() -> None:
    found = why(host.checks([Refusal("There is no card", "Add one")], {}, LOOK, LIMITS))
    assert found == ["There is no card"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"index": None}, ["0 of 1 cards answer; missing: 0000:c1:00.0"]),
        ({"lanes": 8}, ["GPU 1 (0000:c1:00.0) runs on PCIe x8 of x16: seat it again, or try"]),
        (
            {"hw_thermal_slowdown": True, "clock": 405, "temperature": 93},
            ["GPU 1 (0000:c1:00.0) is throttled (hw thermal slowdown): 405 of 1410 MHz at 93 °C"],
        ),
        ({"uncorrected": None}, []),
        ({"uncorrected": 2}, ["GPU 1 (0000:c1:00.0) has 2 uncorrected memory errors"]),
    ],
)
def test_the_cards(changes: dict[str, Any], said: list[str]) -> None:
    seen = {**LOOK, "cards": [{**CARD, **changes}]}
    found = why(cards.checks(["0000:c1:00.0"], 1, "nvidia", seen))
    assert len(found) == len(said)
    assert all(one.startswith(begin) for one, begin in zip(found, said, strict=True))


def test_what_nothing_counts_has_not_passed() -> None:
    silent = {**CARD, "uncorrected": None, **dict.fromkeys(cards.REASONS)}
    found = list(cards.checks([], 1, "nvidia", {**LOOK, "cards": [silent]}))
    assert {check.name for check in found if check.result == "not run"} == {"clock", "ecc"}
    found = list(host.checks((), {"a": 1}, {**LOOK, "host_uncorrected": None}, LIMITS))
    assert [check.name for check in found if check.result == "not run"] == ["memory errors"]


def test_a_vendor_whose_cards_are_not_read_is_not_accepted_unseen() -> None:
    assert why(cards.checks([], 8, "amd", LOOK)) == [
        "what cards of this vendor say is not read yet"
    ]
    assert why(cards.checks([], 0, None, LOOK)) == []


MEASURED: dict[str, Any] = {
    "cards": [
        {"index": 0, "memory": 2800.0, "host": 50.0, "peer": 350.0},
        {"index": 1, "memory": 2800.0, "host": 50.0, "peer": 350.0},
    ],
    **{"all_reduce": 300.0, "all_reduce_error": "", "error": ""},
}
SLOTS = [{**CARD, "index": index, "generation_max": 5} for index in (0, 1)]


def test_the_ways_of_the_cards() -> None:
    h800 = ACCELERATORS["H800"]
    fine = {**MEASURED, "cards": [{**each, "peer": 150.0} for each in MEASURED["cards"]]}
    assert why(fabric.checks(h800, fine, SLOTS, LIMITS)) == []
    slow = [{**fine["cards"][0], "memory": 900.0}, {**fine["cards"][1], "host": 20.0}]
    found = why(fabric.checks(h800, {**fine, "cards": slow, "all_reduce": 20.0}, SLOTS, LIMITS))
    assert found == [
        "a copy within GPU 0 reaches 900 GB/s, and 2.51e+03 are wanted",
        "a copy from the host to GPU 1 reaches 20 GB/s, and 44.1 are wanted",
        "the all-reduce reaches 20 GB/s, and 100 are wanted",
    ]
    unable = {**MEASURED, "all_reduce": None, "all_reduce_error": "NCCL says no"}
    assert "NCCL says no" in why(fabric.checks(None, unable, SLOTS, LIMITS))


def service(**changes: Any) -> Any:
    plan = {
        **{"name": "r1", "unit": "vllm@r1.service", "engine": "vllm", "task": "generate"},
        **{"served": "r1", "context": 4096, "min_tokens_per_second": 20.0, "users": {10: 16}},
        "weights": SimpleNamespace(entry=None, directory="/data/models/r1"),
    }
    return SimpleNamespace(**{**plan, **changes})


SEEN: dict[str, Any] = {
    **{"active": "active", "restarts": 0, "enabled": "enabled", "opened": None},
    **{"weights_problem": "", "weights_read": "every byte", "file_type": "bfloat16"},
    **{"quantization": "FP8", "quantization_error": "", "template": None},
    **{"template_wanted": None, "template_where": "weights", "answers": ["42", "Paris"]},
    **{"answers_error": "", "models": ["r1"], "context": 4096},
}
ASKED = QUESTIONS[:2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"active": "failed"}, "vllm@r1.service is failed"),
        ({"restarts": 2}, "was restarted 2 times"),
        ({"enabled": "disabled"}, "does not start with the machine"),
        ({"opened": "/data/models/other"}, "serves /data/models/other, and /data/models/r1 is"),
        ({"weights_problem": "a: other"}, "the weights are not what was fetched: a: other"),
        ({"quantization": "AWQ"}, "serves its model in AWQ, and FP8 is planned"),
        ({"quantization": None, "file_type": 7}, "serves its model in Q8_0, and FP8"),
        ({"quantization": None, "file_type": None}, "it could not be looked at"),
        ({"template": "aa", "template_wanted": "bb"}, "another chat template (sha256 aa)"),
        ({"answers": ["42", "Lyon"]}, "1 of 2 answers of r1 are right, and 2 have to be"),
        ({"answers": ["42<|im_end|>", "Paris"]}, "an answer of r1 holds <|im_end|>"),
        ({"answers_error": "HTTP status 500"}, "it could not be looked at: HTTP status 500"),
    ],
)
def test_an_engine(changes: dict[str, Any], said: str) -> None:
    asked = AskedService(
        plan=service(), quantization="FP8", parameters=7e9, questions=ASKED, share=0.9
    )
    found = why(engine.checks(asked, {**SEEN, **changes}))
    assert len(found) == bool(said)
    assert not said or said in found[0]


def test_answers_of_an_accepted_machine() -> None:
    reference = {"name": "unit-01", "answers": {"r1": ["a", "b", "c", "d"]}}
    same = engine.compared(service(), ["a", "b", "c", "x"], reference, 0.75)
    other = engine.compared(service(), ["a", "b", "y", "x"], reference, 0.75)
    assert (same.result, other.result) == ("passed", "failed")
    assert other.why() == "2 of 4 answers of r1 are others than those of unit-01"
    assert not engine.compared(service(), ["a"], None, 0.75).is_failure


def test_how_much_a_model_has_to_know_goes_by_its_size() -> None:
    assert [share_of(size, LIMITS) for size in (1e9, 4e9, 70e9)] == [None, 0.75, 0.9]


def test_questions_of_ones_own() -> None:
    mine, share = questions_of({"share": 0.5, "questions": [{"question": "q", "answer": "A+"}]})
    assert (mine, share) == ((KnownQuestion(question="q", answer="A+"),), 0.5)
    assert mine[0].is_right("so: aaa") and not mine[0].is_right("b")
    for wrong in ({}, {"share": 2, "questions": []}, [], {"share": 1, "questions": [{}]}):
        with pytest.raises(Refusal, match="The file of questions cannot be used"):
            questions_of(wrong)


WALL = FirewallPlan(openings=(Opening(name="SSH", ports=(22,)), Opening(name="g", ports=(443,))))
GATEWAY = GatewayPlan(name="m", host="ai.lab", keys=(Key(user="a", team="t", sha256="0" * 64),))


def test_ports_and_keys() -> None:
    assert why(api.ports(WALL, {22: "ssh", 443: "g"}, [22, 443])) == []
    (blind,) = why(api.ports(WALL, {22: "ssh"}, []))
    assert blind.startswith("none of its open ports is reached from here")
    assert why(api.ports(WALL, {22: "ssh"}, None)) == []
    assert why(api.ports(WALL, {9999: "python3"}, [9999])) == [
        "port 9999 (python3) answers other machines, and the plan opens 22, 443"
    ]
    allowed = {"users": {"a": [60, 8]}, "error": ""}
    assert why(api.keys(GATEWAY, allowed, LIMITS)) == []
    for found, said in (
        ([None, 8], "allows any number of requests a minute, 8 at once, and 60 requests"),
        ([9999, 8], "the gateway allows 9999 requests a minute"),
    ):
        (problem,) = why(api.keys(GATEWAY, {**allowed, "users": {"a": found}}, LIMITS))
        assert problem.startswith("the key of a has no limit") and said in problem
    stranger = {**allowed, "users": {"b": [60, 8]}}
    assert why(api.keys(GATEWAY, stranger, LIMITS)) == [
        "a key of b is let in that the plan does not know"
    ]
    boundless = GatewayPlan(name="m", host="ai.lab", keys=GATEWAY.keys, rate=1_000_000)
    (problem,) = why(api.keys(boundless, {**allowed, "users": {"a": [1_000_000, 8]}}, LIMITS))
    assert problem.endswith("is more than anybody can ask")
    assert why(api.keys(GATEWAY, None, LIMITS)) == ["the gateway does not answer: it is not there"]
    assert api.door(GATEWAY, 200, "").why().startswith("the gateway answers 200")


def test_what_a_service_says_of_itself() -> None:
    assert why(api.of_service(service(), SEEN)) == []
    assert why(api.of_service(service(), {**SEEN, "models": ["x"], "context": 1024})) == [
        "r1 lists x instead of r1",
        "r1 takes requests of 1024 tokens, and 4096 are planned",
    ]


def run(parallel: int, per_user: float, errors: int = 0) -> dict[str, Any]:
    return {
        **{"parallel": parallel, "asked": 8, "failed": errors, "per_user": per_user},
        "tokens_per_second": parallel * per_user,
    }


def test_performance() -> None:
    fine = [run(1, 40), run(4, 30), run(16, 12), run(64, 4)]
    assert why(performance.checks(service(), fine)) == []
    assert performance.served(fine, 10) == 16
    slow = [run(1, 15), run(4, 11), run(16, 8, errors=3)]
    assert why(performance.checks(service(), slow)) == [
        "3 of 8 requests failed at 16 at once",
        "one request alone gets 15 tokens per second, and 20 are planned",
        "4 users get 10 tokens per second each, and 16 are planned",
    ]
    assert performance.lengths(service(), quick=False) == (1024, 256)
    assert sum(performance.lengths(service(context=512), quick=False)) <= 384


LOAD = {"asked": 10, "failed": 0, "error": "", "tokens": 640}


def test_a_soak() -> None:
    sample = [{"at": 2, "cards": [CARD]}]
    assert why(soak.checks((), LOOK, LOOK, sample, LOAD)) == []
    after = {**LOOK, "xids": ["NVRM: Xid 48"], "cards": [{**CARD, "uncorrected": 1}]}
    slowed = [{"at": 2, "cards": [{**CARD, "hw_slowdown": True}]}]
    found = why(soak.checks((), LOOK, after, slowed, {**LOAD, "failed": 1, "error": "gone"}))
    assert found == [
        "1 of 10 requests failed during the soak: gone",
        "the driver told of an error during the soak: NVRM: Xid 48",
        "GPU 1 (0000:c1:00.0) had 1 uncorrected memory errors during the soak",
        "GPU 1 (0000:c1:00.0) is throttled (hw slowdown): 1400 of 1410 MHz at 50 °C",
    ]
    lost = {**LOOK, "cards": [{**CARD, "index": None}]}
    assert "stopped answering" in why(soak.checks((), LOOK, lost, sample, LOAD))[0]
    assert why(soak.checks((), LOOK, LOOK, sample, {**LOAD, "asked": 0}))


def test_what_had_to_run_and_did_not_is_a_failure() -> None:
    fine = AcceptanceCheck(phase="host", name="plan")
    assert is_accepted([fine])
    assert not is_accepted([])
    assert is_accepted([fine, not_run("fabric", "run", "left out", required=False)])
    assert not is_accepted([fine, not_run("fabric", "run", "left out", required=True)])
    assert not is_accepted([fine, failed("host", "plan", "refused", text="no")])


def test_a_disk_has_to_read_the_weights_in_time() -> None:
    cards_of = limits_of(ACCELERATORS["H800"])
    assert disk_limit(cards_of, 10 << 30, 600) == cards_of
    large = disk_limit(cards_of, 1_400_000_000_000, 700)
    assert large.disk_read == pytest.approx(2.0) and "1400 GB" in large.source


def test_both_languages_say_the_same_things() -> None:
    for name, both in (NAMES | SENTENCES).items():
        fields = [
            sorted(filter(None, (field for _, field, _, _ in string.Formatter().parse(text))))
            for text in both.values()
        ]
        assert len(fields) == 2 and fields[0] == fields[1], name


def test_whatever_can_be_said_is_said_somewhere() -> None:
    sources = [
        path.read_text()
        for folder in ("planning", "control")
        for path in (ROOT / "deploys" / folder / "acceptance").glob("*.py")
        if path.stem != "sentences"
    ]
    assert [key for key in NAMES | SENTENCES if f'"{key}"' not in "".join(sources)] == []
