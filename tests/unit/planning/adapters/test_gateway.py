"""Adapters at a gateway: names of models, for those who may ask them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from deploys.planning.gateway.cards import cards
from deploys.planning.gateway.choice import OtherMachine, ServedElsewhere
from deploys.planning.inputs.gateway import Chat
from deploys.planning.plan import HostPlan
from deploys.rendering.gateway import PATHS
from tests.unit.planning.adapters.adapter_examples import served
from tests.unit.planning.gateway.gateway_examples import GATEWAY, around, key
from tests.unit.rendering.test_render_gateway import rendered


def planned(engine: str = "vllm", **fields: Any) -> HostPlan:
    return served(engine, gateway=GATEWAY, **fields)


def files(made: HostPlan) -> dict[str, str]:
    assert made.gateway and not made.refusals, made.refusals
    configuration, others = rendered(made.gateway)
    return {**others, "haproxy.cfg": configuration}


@pytest.mark.parametrize(("engine", "name"), [("vllm", "legal"), ("sglang", "it:legal")])
def test_an_adapter_is_a_model_of_the_api(engine: str, name: str) -> None:
    found = files(planned(engine))
    assert found["models.map"] == f"it service-it\n{name} service-it\n"
    assert found["tasks.map"] == f"it generate\n{name} generate\n"
    entries = dict(line.split(" ", 1) for line in found["models.list"].splitlines())
    assert json.loads(entries[name])["id"] == name
    assert json.loads(entries[name])["parent"] == "it"
    assert "parent" not in json.loads(entries["it"])


def test_its_backend_is_asked_for_its_model_alone() -> None:
    configuration = files(planned())["haproxy.cfg"]
    assert "backend service-it\n" in configuration and "service-legal" not in configuration
    without = files(planned(adapters=None))["haproxy.cfg"]
    assert configuration.partition("modelrack")[0] == without.partition("modelrack")[0]


def test_where_every_answer_has_it_the_service_is_the_only_name() -> None:
    for engine in ("llama.cpp", "ollama"):
        assert files(planned(engine))["models.map"] == "it service-it\n"


def test_a_key_may_be_for_an_adapter_alone() -> None:
    mine = around(keys=(key(models=("legal",)), key("bob", models=("it",))))
    found = files(planned(around=mine))
    assert found["restricted.map"] == "alice legal\nbob it\n"
    assert found["allowed.map"] == "alice/legal 1\nbob/it 1\n"
    made = planned(around=around(keys=(key(models=("illegal",)),)))
    assert "names illegal, which no machine serves" in str(made.refusals[0])
    assert "names of services: it, legal" in str(made.refusals[0])


def test_the_chat_page_offers_it() -> None:
    chat = replace(GATEWAY, chat=Chat(admin="a@ai.lab"))
    found = files(served("vllm", gateway=chat))
    assert "webui it legal\n" in found["restricted.map"]
    assert "webui/legal 1\n" in found["allowed.map"]


def test_a_card_lists_it() -> None:
    made = planned()
    assert made.gateway
    (card,) = cards([made.gateway], {})
    assert [model.name for model in card.models] == ["it", "legal"]


def test_no_path_that_loads_adapters_leads_to_an_engine() -> None:
    configuration = files(planned())["haproxy.cfg"]
    assert "lora" not in configuration
    assert not [path for path in PATHS if "lora" in path or "adapter" in path]
    # What is not in this list is answered by the gateway itself, before anything else is looked at.
    answered = re.search(r"(?m)^ *http-request return status 404 .* unless known$", configuration)
    routed = configuration.index("use_backend %[var(txn.model)")
    assert answered and answered.start() < routed


def test_copies_of_a_service_have_the_same_adapters() -> None:
    def beside(*adapters: str, service: str = "it") -> Any:
        model = "qwen3-8b" if service == "it" else "other"
        offer = ServedElsewhere(service=service, model=model, served=service, adapters=adapters)
        other = OtherMachine(name="gpu-02", address="10.8.0.2", offers=(offer,))
        wanted = replace(GATEWAY, also=("gpu-02",))
        return served("vllm", gateway=wanted, around=around(others=(other,)))

    assert not beside("legal").refusals
    found = files(beside("medical", service="else"))
    assert "medical service-else\n" in found["models.map"]
    # The other machine's own gateway leads it on.
    assert "medical" not in found.get("local.map", "")
    (refusal,) = beside().refusals
    assert "has the adapters legal on gpu-01 and none on gpu-02" in refusal.reason
    (refusal,) = beside("it", service="else").refusals
    assert "is asked as it, as is service it" in refusal.reason
