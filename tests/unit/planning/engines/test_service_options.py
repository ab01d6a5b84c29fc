"""Further settings of a service: each checked against its engine's version, and rendered."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from deploys.planning.engines.base import HONOURED
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import stack_of
from deploys.planning.inputs.profile import SAMPLING, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.options import check
from deploys.planning.options.record import accepted
from deploys.planning.plan import HostPlan
from deploys.rendering import ollama, render
from tests.plans.simulated import MACHINES
from tests.unit.planning.engines.options import settings
from tests.unit.planning.engines.test_options import SETTINGS, class_plan, problems
from tests.unit.planning.engines.test_settings import WHERE, planned
from tests.unit.planning.plan_examples import plan, profile, service
from tests.unit.rendering.render_examples import (
    OTHER_ENGINES,
    PINNED,
    PLANS,
    PYTHON_ENGINES,
    files,
    on,
)

VERSIONS = stack_of(named("H200")).engines


def given(engine: str, **options: Any) -> HostPlan:
    """Options of a service on cards, or what speaks against them; __ is for a dash."""
    named_so = {name.replace("__", "-"): value for name, value in options.items()}
    return planned(engine, cards=True, options=named_so)


def told(made: HostPlan) -> dict[str, Any]:
    """Everything that a plan's engine is configured with."""
    found = {}
    for served in made.services:
        for file in render.service(made, served)[0]:
            if file.path.startswith(SETTINGS) and not file.path.endswith(".jinja"):
                found |= settings(file.path, file.content)
    return found


@pytest.mark.parametrize(
    ("engine", "options", "wanted"),
    [
        ("vllm", {"async__scheduling": True}, {"async-scheduling": True}),
        ("vllm", {"enable_prefix_caching": False}, {"enable-prefix-caching": False}),
        # Each of the names that the engine has for it.
        ("vllm", {"no__enable__prefix__caching": True}, {"enable-prefix-caching": False}),
        ("vllm", {"seed": 7, "dtype": "bfloat16"}, {"seed": 7, "dtype": "bfloat16"}),
        ("vllm", {"allowed__origins": ["a", "b"]}, {"allowed-origins": '["a", "b"]'}),
        ("vllm", {"compilation__config": {"a": 1}}, {"compilation-config": '{"a": 1}'}),
        ("vllm", {"cudagraph__capture__sizes": [1, 2]}, {"cudagraph-capture-sizes": [1, 2]}),
        ("vllm", {"VLLM_LOGGING_LEVEL": "DEBUG"}, {"VLLM_LOGGING_LEVEL": "'DEBUG'"}),
        ("sglang", {"random__seed": 7}, {"random-seed": 7}),
        ("sglang", {"attention__backend": "fa3"}, {"attention-backend": "fa3"}),
        ("ktransformers", {"kt__gpu__prefill__token__threshold": 9}, None),
        ("ollama", {"OLLAMA_FLASH_ATTENTION": 1}, {"OLLAMA_FLASH_ATTENTION": "'1'"}),
    ],
)
def test_an_option_is_rendered_in_its_engine_s_form(
    engine: str, options: dict[str, Any], wanted: dict[str, Any] | None
) -> None:
    made = given(engine, **options)
    assert made.refusals == () and problems(made) == []
    usual, found = told(given(engine)), told(made)
    changed = {name: value for name, value in found.items() if usual.get(name) != value}
    del changed["MODELRACK_DIGEST"]
    assert changed == (wanted or {"kt-gpu-prefill-token-threshold": 9})


def test_those_of_llama_server_are_words_of_its_command() -> None:
    """Not all of them have a variable, and systemd splits words as a shell would."""
    wanted = {
        "seed": 7,
        "LLAMA_ARG_CONTEXT_SHIFT": True,
        "--no-warmup": True,
        "samplers": "top_k;temperature",
        "chat-template-kwargs": '{"enable_thinking": false}',
    }
    made = on("cpu", options=wanted)
    words = shlex.split(told(made)["MODELRACK_OPTIONS"])
    assert words == [
        *("--chat-template-kwargs", '{"enable_thinking": false}', "--context-shift"),
        *("--samplers", "top_k;temperature", "--seed", "7", "--no-warmup"),
    ]
    unit = files(made)["/etc/systemd/system/llama-server@.service"].content
    assert "/bin/llama-server $MODELRACK_OPTIONS\n" in unit
    # There without any: systemd complains of a variable that is not set.
    assert told(on("cpu"))["MODELRACK_OPTIONS"] == ""


@pytest.mark.parametrize(
    ("engine", "options", "said"),
    [
        ("vllm", {"swap__space": 4}, "0.32.0 does not have. Use --kv-offloading-size in options"),
        ("vllm", {"device": "cuda"}, "options names device, which vllm 0.32.0 does not have."),
        ("vllm", {"enable__expert__paralel": True}, "Use --enable-expert-parallel"),
        ("vllm", {"seed": "many"}, "wants a whole number, and got 'many'"),
        ("vllm", {"seed": 0.5}, "wants a whole number, and got 0.5"),
        ("vllm", {"seed": True}, "wants a value, and got True"),
        ("vllm", {"seed": [1, 2]}, "takes one value, and got 2"),
        ("vllm", {"dtype": "int3"}, "is one of auto, bfloat16"),
        ("vllm", {"enforce__eager": "yes"}, "takes no value, and got 'yes'"),
        ("vllm", {"compilation__config": "{"}, "wants JSON, and got '{'"),
        ("vllm", {"max__model__len": 8}, "which the plan sets. Set context of the service"),
        ("vllm", {"tp": 8}, "does not have"),
        ("vllm", {"-tp": 8}, "which the plan sets. Set tensor_parallel of the service instead"),
        ("vllm", {"host": "0.0.0.0"}, "which the plan sets. Take it out of options"),
        (
            "vllm",
            {"VLLM_API_KEY": "k"},
            "would be in a file that everybody on the machine can",
        ),
        ("llama.cpp", {"api__key": "k"}, "would be in a file that everybody on the machine can"),
        ("vllm", {"VLLM_LOGGING_PREFIX": "it's"}, "with a quote, a backslash or a new line"),
        ("vllm", {"HF_TOKEN": "t"}, "does not have"),
        ("sglang", {"enable__dp__attention": True}, "has given up. Use --attn-dp-size"),
        ("sglang", {"dllm__fdfo": True}, "which sglang 0.5.23 reads from no file"),
        ("sglang", {"enable__metrics__for__all__schedulers": False}, "can only be told to do"),
        ("ktransformers", {"kt__cpuinfer": 4}, "which the plan sets. Take it out"),
        ("llama.cpp", {"top__nsigma": "hot"}, "wants a number, and got 'hot'"),
        ("llama.cpp", {"LLAMA_ARG_N_PARALLEL": 4}, "Set parallel of the service instead"),
        ("llama.cpp", {"grammar": "root ::= \n"}, "with a quote, a backslash or a new line"),
        ("llama.cpp", {"no__mmap": True}, "Use --load-mode in options instead"),
        ("ollama", {"OLLAMA_NUM_PARALLEL": 4}, "Set parallel of the service instead"),
        ("ollama", {"num_ctx": 4}, "does not have. Take it out of options"),
    ],
)
def test_what_the_engine_does_not_take_is_refused(
    engine: str, options: dict[str, Any], said: str
) -> None:
    (refusal,) = given(engine, **options).refusals
    (name,) = (name.replace("__", "-") for name in options)
    assert str(refusal).startswith(f"Service it: options names {name}")
    assert said in str(refusal) and refusal.service == "it"


def test_each_of_them_is_refused_for_itself_and_none_is_said_twice() -> None:
    made = given("vllm", nonsense=1, seed="x", dtype="auto")
    assert len(made.refusals) == 2
    (refusal,) = planned("vllm", cards=True, options={"asc": 1, "-asc": 2}).refusals
    assert "does not have" in str(refusal)
    twice = {"api-server-count": 1, "-asc": 2}
    (refusal,) = planned("vllm", cards=True, options=twice).refusals
    assert "which are the same. Take one of them out of options" in str(refusal)


def test_of_a_version_that_was_not_recorded_nothing_is_taken() -> None:
    service = Service(name="it", engine="vllm", model="qwen3-32b", port=8000, options={"seed": 1})
    (refusal,) = check.refusals(service, "0.23.0")
    assert "was not recorded. Leave options out" in str(refusal)


def test_models_of_one_process_have_the_same_options() -> None:
    both = [
        service(engine="ollama", name=name, port=11434, options=options)
        for name, options in (("a", {"OLLAMA_DEBUG": "1"}), ("b", None))
    ]
    with pytest.raises(Refusal, match=r"have options .*Give both the same options"):
        profile(*both)
    made = plan(profile(both[0]), pins=PINNED)
    assert told(made)["OLLAMA_DEBUG"] == "'1'"


# Engines that serve with values of the service's own.
SAMPLED = {name for name, engine in ENGINES.items() if engine.settings.sampling == HONOURED}
DRAWN = {
    "temperature": 0.6,
    "top_p": 0.95,
    "top_k": 20,
    "min_p": 0,
    "repetition_penalty": 1.05,
    "presence_penalty": 1.5,
}


def given_sampling(engine: str) -> HostPlan:
    return planned(engine, cards=True, sampling=DRAWN)


def test_how_answers_are_drawn_is_said_in_each_engine_s_own_way() -> None:
    assert set(DRAWN) == set(SAMPLING) and {"vllm", "llama.cpp", "ollama"} == SAMPLED
    vllm = given_sampling("vllm")
    # Nothing says that the model's own generation_config.json is not to be used beside it.
    assert told(vllm)["override-generation-config"] == DRAWN
    assert "generation-config" not in told(vllm) and problems(vllm) == []
    llama = given_sampling("llama.cpp")
    assert problems(llama) == []
    assert {name: value for name, value in told(llama).items() if name in LLAMA} == LLAMA
    made = given_sampling("ollama")
    parameters = ollama.parameters(made, made.services[0])
    del parameters["num_ctx"]
    assert parameters == {
        **{name: value for name, value in DRAWN.items() if name != "repetition_penalty"},
        "repeat_penalty": 1.05,
    }


LLAMA = {
    "LLAMA_ARG_TEMPERATURE": "0.6",
    "LLAMA_ARG_TOP_P": "0.95",
    "LLAMA_ARG_TOP_K": "20",
    "LLAMA_ARG_MIN_P": "0",
    "LLAMA_ARG_REPEAT_PENALTY": "1.05",
    "LLAMA_ARG_PRESENCE_PENALTY": "1.5",
}


def test_where_it_would_not_reach_a_request_it_is_refused() -> None:
    for engine in set(ENGINES) - SAMPLED:
        (refusal,) = given_sampling(engine).refusals
        assert "has no sampling: what a chat request leaves out" in str(refusal)
        assert "serve the model with vLLM" in refusal.hint


@pytest.mark.parametrize(
    ("sampling", "said"),
    [
        ({"temperatur": 0.6}, "there is no sampling 'temperatur'. Write one of temperature, top_p"),
        ({"temperature": 3}, "temperature in sampling is 3. Give a number from 0 to 2."),
        ({"temperature": "hot"}, "is 'hot'. Give a number from 0 to 2."),
        ({"temperature": float("nan")}, "is nan. Give a number"),
        ({"top_k": 0.5}, "top_k in sampling is 0.5. Give a whole number from 1 to 100000."),
        ({"top_k": True}, "top_k in sampling is True. Give a whole number"),
    ],
)
def test_what_nothing_can_be_drawn_with_is_refused(sampling: dict[str, Any], said: str) -> None:
    with pytest.raises(Refusal, match=re.escape(said)):
        service(sampling=sampling)


def test_sampling_is_no_option_beside_it() -> None:
    for engine, options in (
        ("vllm", {"override__generation__config": {"top_k": 1}}),
        ("llama.cpp", {"temp": 0.6}),
    ):
        (refusal,) = given(engine, **options).refusals
        assert "Set sampling of the service instead" in str(refusal)


EVERY_PLAN = [*PLANS.values(), *OTHER_ENGINES.values(), *PYTHON_ENGINES.values()]


def test_whatever_the_plan_sets_is_no_further_option() -> None:
    """Or an option would be in a file twice, and one of them win."""
    made = [*EVERY_PLAN, *(planned(engine, cards=cards) for engine, cards in WHERE)]
    made += [found for name in MACHINES if not (found := class_plan(name)).refusals]
    made += [
        planned(engine, cards=True, performance=word, context=4096)
        for engine in ("vllm", "sglang")
        for word in ("latency", "throughput")
    ]
    made += [given_sampling(engine) for engine in SAMPLED]
    for each in made:
        for served in each.services:
            known = accepted(served.engine, each.stack.engines[served.engine])
            for name in told(each):
                option = known.get(name) or known.get(f"--{name}")
                # Where a service gives it, the plan leaves it out (settings.images).
                if option is not None and not option.key.startswith("limit-mm-"):
                    assert option.key in ENGINES[served.engine].plans, f"{served.engine}: {name}"


@pytest.mark.parametrize("name", ENGINES)
def test_what_a_record_says_the_plan_sets_exists(name: str) -> None:
    known = {option.key for option in accepted(name, VERSIONS[name]).values()}
    plans = ENGINES[name].plans
    assert set(plans) <= known
    assert set(plans.values()) - {""} <= set(Service.__dataclass_fields__)
