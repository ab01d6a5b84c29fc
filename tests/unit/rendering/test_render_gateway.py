"""The gateway's files, as HAProxy and its maps read them; e2e has HAProxy itself read them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date

import pytest

from deploys.planning.gateway.paths import ASKED
from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.inputs.gateway import Acme, Chat
from deploys.rendering import gateway
from deploys.rendering.gateway import GatewayFiles
from tests.unit.planning.gateway.gateway_examples import BESIDE, GATEWAY, around, key, planned
from tests.unit.planning.plan_examples import service
from tests.unit.rendering.gateway_plans import CA, PLANS

EVERY = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


def rendered(plan: GatewayPlan) -> tuple[str, dict[str, str]]:
    """The configuration, and the other files by name."""
    files = gateway.files(plan, CA)
    others = {each.path.rpartition("/")[2]: each.content for each in (*files.fixed, *files.maps)}
    return files.configuration.content, others


@EVERY
def test_every_map_that_is_named_is_written_and_every_one_is_named(plan: GatewayPlan) -> None:
    configuration, others = rendered(plan)
    named = set(re.findall(r"/etc/modelrack/gateway/([\w-]+\.map)", configuration))
    # Those of the chat page's key and of an account's are made on the machine.
    assert named - {"chat.map", "acme.map"} == {name for name in others if name.endswith(".map")}
    assert ("chat.map" in named) == bool(plan.chat)
    assert ("acme.map" in named) == bool(plan.acme)
    assert not re.search(r"{{|{%|None", configuration + "".join(others.values()))


@EVERY
def test_every_backend_that_is_routed_to_is_there(plan: GatewayPlan) -> None:
    configuration, others = rendered(plan)
    maps = others.get("models.map", "") + others.get("local.map", "")
    routed = {line.split()[1] for line in maps.splitlines()}
    there = set(re.findall(r"^backend ((?:service|local)-\S+)$", configuration, re.M))
    assert routed == there


def test_limits_are_by_user_and_keys_by_their_digest() -> None:
    made = planned(
        beside=around(
            keys=(
                key(rate=30, at_once=4, tokens_a_day=900, models=("tiny",)),
                key("bob", until=date(2027, 1, 31)),
            )
        )
    )
    assert made.gateway
    _, files = rendered(made.gateway)
    alice, bob = key().sha256, key("bob").sha256
    assert files["keys.map"] == f"{alice} alice\n{bob} bob\n"
    # The first second of the day after it.
    assert files["until.map"] == f"{bob} 1801440000\n"
    assert files["teams.map"] == "alice research\nbob research\n"
    assert [files[f"{name}.map"] for name in ("rates", "at-once", "tokens")] == [
        "alice 30\n",
        "alice 4\n",
        "alice 900\n",
    ]
    assert (files["restricted.map"], files["allowed.map"]) == ("alice tiny\n", "alice/tiny 1\n")


def test_the_list_of_models_says_what_a_request_may_take() -> None:
    made = planned()
    assert made.gateway
    name, _, entry = rendered(made.gateway)[1]["models.list"].strip().partition(" ")
    assert name == "tiny"
    assert json.loads(entry)["id"] == "tiny"
    assert json.loads(entry)["max_model_len"] == made.services[0].context


def digest(plan: GatewayPlan | None) -> GatewayFiles:
    assert plan
    return gateway.files(plan, CA)


def test_other_keys_are_no_reason_for_a_reload_and_another_backend_is() -> None:
    one = digest(planned().gateway)
    keys = digest(planned(beside=around(keys=(key("bob", rate=3),))).gateway)
    assert (one.digest, one.configuration) == (keys.digest, keys.configuration)
    assert one.maps != keys.maps
    more = planned(replace(GATEWAY, also=("gpu-02",)), around(others=(BESIDE,)))
    assert digest(more.gateway).digest != one.digest
    assert f"MODELRACK_DIGEST {one.digest}\n" in one.configuration.content


def test_the_chat_page_has_limits_of_its_own() -> None:
    made = planned(replace(GATEWAY, chat=Chat(admin="a@ai.lab", rate=7, at_once=3)))
    assert made.gateway
    _, files = rendered(made.gateway)
    assert files["rates.map"] == "open-webui 7\n"
    assert files["at-once.map"] == "open-webui 3\n"
    assert "open-webui chat page\n" in files["teams.map"]


def test_who_asks_decides_what_is_drained() -> None:
    """A copy without weight would be down for the other machine, whatever that one has begun."""
    configuration, _ = rendered(PLANS["drained itself"])
    ours, theirs = configuration.partition("\nbackend local-tiny\n")[::2]
    assert "server gpu-01 127.0.0.1:8080 maxconn 2 weight 0\n" in ours
    assert "server gpu-01 127.0.0.1:8080 maxconn 2\n" in theirs


def test_a_challenge_is_answered_and_all_else_of_its_port_is_redirected() -> None:
    configuration, _ = rendered(PLANS["by ACME"])
    front = configuration.partition("frontend redirect")[2].partition("frontend api")[0]
    answer, redirect = front.index("http-request return"), front.index("http-request redirect")
    assert answer < redirect
    assert "/.well-known/acme-challenge/" in front
    assert "well-known" not in rendered(PLANS["one machine"])[0]


def test_what_asks_for_a_certificate_trusts_whom_it_is_told() -> None:
    settings, ca, unit, _ = gateway.acme(Acme(email="a@ai.lab"), "ai.lab", CA)
    assert json.loads(settings.content)["host"] == "ai.lab"
    assert (ca.content, f"SSL_CERT_FILE={ca.path}\n" in unit.content) == (CA, True)
    assert "SSL_CERT_FILE" not in gateway.acme(Acme(), "ai.lab", None)[1].content


def test_a_line_of_the_log_is_json() -> None:
    made = planned()
    assert made.gateway
    configuration, _ = rendered(made.gateway)
    (form,) = re.findall(r"log-format '(.*)'", configuration)
    (numbers,) = re.findall(r"set-var-fmt\(txn.numbers\) '(.*)'", configuration)
    variable = '%[str(" "),concat(,txn.numbers)]'
    names = (
        "user team model path status to end queue_ms first_ms ms bytes_in bytes_out tokens_in"
        " tokens_out estimated retries from"
    )
    # What cannot be read as a request has none.
    for known, expected in (
        (numbers, names),
        ("", names.replace(" tokens_in tokens_out estimated", "")),
    ):
        line = re.sub(r"%(\[[^\]]*\]|\w+)", "1", form.replace(variable, f" {known}"))
        assert " ".join(json.loads(line)) == expected


def test_one_stream_cannot_hold_up_or_mix_up_the_others() -> None:
    configuration, files = rendered(next(iter(PLANS.values())))
    # Filters in Lua are not locked against each other everywhere.
    assert "\n    nbthread 1\n" in configuration
    # A search that is not anchored takes the square of the length where there is nothing to find.
    searches = re.findall(r":match\('(.*?)'", files["usage.lua"])
    assert any(".*" in each for each in searches)
    assert [each for each in searches if each.startswith(".")] == []


def test_each_model_is_asked_at_the_paths_of_its_task_alone() -> None:
    encoder = service(name="vectors", port=8081, task="embed", options={"pooling": "last"})
    made = planned(services=(service(), encoder))
    assert made.gateway
    configuration, files = rendered(made.gateway)
    assert files["tasks.map"] == "tiny generate\nvectors embed\n"
    entries = dict(line.split(" ", 1) for line in files["models.list"].splitlines())
    assert json.loads(entries["vectors"])["task"] == "embed"
    known = re.search(r"acl known .*", configuration)
    assert known
    for paths in ASKED.values():
        for path in paths:
            assert f'"POST {path}"' in known[0]
    refused = re.findall(r'"message":"([^"]*): ask it at (\S+)","type":"invalid', configuration)
    assert [at for _, at in refused] == [paths[0] for paths in ASKED.values()]
