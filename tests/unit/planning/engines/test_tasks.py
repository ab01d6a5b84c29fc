"""What is asked of a service: each task by its engine's own settings, or refused with a reason."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from deploys.control import locks as lock_files
from deploys.planning.gateway.paths import ASKED
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.models.model import Model
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from deploys.rendering import page, render
from tests.plans.simulated import MACHINES
from tests.unit.planning.plan_examples import MACHINE, TINY, locks, reshaped

PINS = lock_files.read(Site().locks)
# An encoder and a decoder of vectors, a ranking encoder, and one that ranks by a word.
ENCODER, DECODER = CATALOGUE["bge-m3-q8_0"], CATALOGUE["qwen3-embedding-0.6b-q8_0"]
RANKER, JUDGE = CATALOGUE["bge-reranker-v2-m3"], CATALOGUE["qwen3-reranker-0.6b"]
VECTORS = CATALOGUE["qwen3-embedding-0.6b"]


def planned(engine: str, model: Model, *, cards: bool = False, **fields: Any) -> HostPlan:
    """The plan of a machine that serves this model, whatever speaks against it."""
    model = replace(model, key="tiny", modelscope="o/tiny", huggingface=None)
    served = Service(name="it", engine=engine, model=model, port=8000, **fields)
    profile, machine = HostProfile(services=(served,)), MACHINE
    if cards:
        profile = replace(profile, gpu="RTX 4090", gpus=8)
        machine = Machine.from_json(MACHINES["rtx4090"])
    file = "model.safetensors" if model.format == "safetensors" else "tiny.gguf"
    pins = replace(PINS, weights=locks([file]).weights)
    return resolve(profile, Site(), machine, pins)


def settings(plan: HostPlan) -> dict[str, Any]:
    """What the service's own file says."""
    assert plan.refusals == ()
    files, _ = render.service(plan, plan.services[0])
    by_name = {file.path.rpartition("/")[2]: file.content for file in files}
    if text := by_name.get("it.yaml"):
        read: dict[str, Any] = yaml.safe_load(text)
        return read
    lines = (line for line in by_name["it.env"].splitlines() if "=" in line and line[0] != "#")
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("cards", [False, True])
def test_llama_cpp_reads_a_text_of_an_encoder_in_one_step_and_keeps_nothing(cards: bool) -> None:
    made = planned("llama.cpp", ENCODER, cards=cards)
    found = settings(made)
    assert found["LLAMA_ARG_EMBEDDINGS"] == "1"
    assert "LLAMA_ARG_RERANKING" not in found
    assert found["LLAMA_ARG_BATCH"] == found["LLAMA_ARG_UBATCH"] == "8192"
    assert found["LLAMA_ARG_CACHE_RAM"] == "0"
    ledger = made.services[0].placement.ledger
    lines = {**ledger.host, **{name: 1 for card in ledger.cards for name in card.lines}}
    assert "KV cache" not in lines and "prompt cache" not in lines
    assert (ledger.kv_bytes, ledger.kv_tokens) == (0, 0)
    buffer = ledger.cards[0].lines if cards else ledger.host
    # A step of 8192 tokens, 4 bytes of each number, and its mask.
    assert buffer["compute buffer"] > 4 * 8192 * 3 * 4096


def test_llama_cpp_reads_a_text_of_a_decoder_in_steps_and_short_contexts() -> None:
    made = planned("llama.cpp", DECODER)
    found = settings(made)
    assert found["LLAMA_ARG_EMBEDDINGS"] == "1"
    assert "LLAMA_ARG_BATCH" not in found and "LLAMA_ARG_UBATCH" not in found
    assert made.services[0].context == 8192
    # Who wants longer ones may have them.
    assert planned("llama.cpp", DECODER, context=32_768).services[0].context == 32_768
    # With answers to write, a long prompt is read in pieces, and answered ones are kept.
    written = settings(planned("llama.cpp", DECODER, task="generate"))
    assert written["LLAMA_ARG_BATCH"] == "256"
    assert written["LLAMA_ARG_CACHE_RAM"] != "0"
    assert "LLAMA_ARG_EMBEDDINGS" not in written


def test_llama_cpp_ranks() -> None:
    found = settings(planned("llama.cpp", CATALOGUE["bge-reranker-v2-m3-q8_0"]))
    assert found["LLAMA_ARG_RERANKING"] == "1"
    assert "LLAMA_ARG_EMBEDDINGS" not in found


@pytest.mark.parametrize("cards", [False, True])
@pytest.mark.parametrize(
    ("model", "convert"), [(VECTORS, "embed"), (RANKER, "classify"), (JUDGE, "classify")]
)
def test_vllm_pools(model: Model, convert: str, cards: bool) -> None:
    made = planned("vllm", model, cards=cards)
    found = settings(made)
    assert (found["runner"], found["convert"]) == ("pooling", convert)
    assert "tool-call-parser" not in found and "reasoning-parser" not in found
    assert "max-num-batched-tokens" not in found
    ledger = made.services[0].placement.ledger
    if not model.network.causal:
        assert "kv-cache-memory-bytes" not in found
        assert all("KV cache" not in card.lines for card in ledger.cards)
        assert not any(warning for warning in made.warnings if "left for the cache" in warning)
    # Nothing is written, so there is no pace of that, nor readers who wait for it.
    assert made.services[0].min_tokens_per_second is None
    assert made.services[0].users is None


def test_vllm_makes_a_reranker_of_a_model_that_says_yes_or_no() -> None:
    made = planned("vllm", JUDGE)
    overrides = settings(made)["hf-overrides"]
    assert overrides["classifier_from_token"] == ["no", "yes"]
    assert overrides["is_original_qwen3_reranker"] is True
    files, _ = render.service(made, made.services[0])
    (template,) = [file.content for file in files if file.path.endswith(".jinja")]
    assert 'selectattr("role", "equalto", "document")' in template
    assert settings(made)["chat-template"] == "/etc/modelrack/services/it.jinja"
    # One that was published as a reranker needs none of that.
    assert not {"hf-overrides", "chat-template"} & {*settings(planned("vllm", RANKER))}


def test_sglang_makes_vectors() -> None:
    made = planned("sglang", VECTORS, cards=True)
    assert settings(made)["is-embedding"] is True
    assert "is-embedding" not in settings(planned("sglang", VECTORS, cards=True, task="generate"))


def test_ollama_reads_the_whole_text_of_an_encoder_in_one_step() -> None:
    def told(plan: HostPlan) -> bool:
        files, _ = render.service(plan, plan.services[0])
        return any("num_batch 8192" in file.content for file in files)

    assert told(planned("ollama", ENCODER))
    # What reads it in steps need not be told.
    assert not told(planned("ollama", DECODER))


@pytest.mark.parametrize(
    ("engine", "model", "fields", "said"),
    [
        ("ollama", replace(JUDGE, format="gguf"), {}, "ollama has no task='rerank'"),
        ("ollama", DECODER, {"task": "generate"}, "ollama has no task='generate' for tiny: it"),
        ("sglang", JUDGE, {"cards": True}, "sglang has no task='rerank'"),
        ("ktransformers", VECTORS, {"cards": True}, "ktransformers has no task='embed'"),
        ("llama.cpp", ENCODER, {"task": "generate"}, "tiny is an encoder, which writes no answers"),
        ("vllm", VECTORS, {"tool_parser": "hermes"}, "tool_parser is about answers"),
        ("llama.cpp", DECODER, {"sampling": {"top_k": 2}}, "sampling is about answers"),
        ("llama.cpp", DECODER, {"options": {"embedding": True}}, "options names embedding"),
        ("vllm", VECTORS, {"options": {"runner": "generate"}}, "options names runner"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_by_what_the_network_is_for(
    engine: str, model: Model, fields: dict[str, Any], said: str
) -> None:
    found = [each for each in planned(engine, model, **fields).refusals if said in each.reason]
    assert len(found) == 1
    assert found[0].hint


def test_a_task_that_there_is_not_is_refused() -> None:
    with pytest.raises(Refusal, match=r"there is no task 'rank'\. Write one of generate, embed,"):
        Service(name="it", engine="vllm", model=VECTORS, port=8000, task="rank")  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="there is no task 'rank'"):
        replace(TINY, task="rank")


def test_the_page_says_what_is_asked_and_where() -> None:
    machine = MACHINE
    text = page.of("gpu-01", machine, planned("llama.cpp", ENCODER))
    assert f"for vectors of texts, at {ASKED['embed'][0]}: 4 requests of 8192 tokens" in text
    assert "the cache holds" not in text
    written = page.of("gpu-01", machine, planned("llama.cpp", DECODER, task="generate"))
    assert "/v1/" not in written


SEEING = reshaped(VECTORS, task="generate", images=True)


@pytest.mark.parametrize(
    ("engine", "option"),
    [("vllm", "limit-mm-per-prompt"), ("sglang", "limit-mm-data-per-request")],
)
def test_prompts_hold_so_many_images_unless_the_service_says_it(engine: str, option: str) -> None:
    found = settings(planned(engine, SEEING, cards=True))[option]
    assert json.loads(found) == {"image": 8, "video": 0}
    own = planned(engine, SEEING, cards=True, options={option: {"image": 1}})
    assert json.loads(settings(own)[option]) == {"image": 1}
    assert option not in settings(planned(engine, VECTORS, cards=True))


EYES = replace(
    reshaped(DECODER, task="generate", images=True),
    key="tiny",
    modelscope="o/tiny",
    huggingface=None,
    files=("tiny.gguf",),
    projector="mmproj-*.gguf",
    projector_size=500_000_000,
    size=DECODER.size + 500_000_000,
)


@pytest.mark.parametrize("cards", [False, True])
def test_a_projector_is_opened_beside_the_model_and_counted(cards: bool) -> None:
    def made(model: Model, *files: str) -> HostPlan:
        served = Service(name="it", engine="llama.cpp", model=model, port=8000, context=4096)
        profile, machine = HostProfile(services=(served,)), MACHINE
        if cards:
            profile = replace(profile, gpu="RTX 4090", gpus=8)
            machine = Machine.from_json(MACHINES["rtx4090"])
        pins = locks(files).weights["tiny"]
        each = model.size // len(files)
        sized = replace(pins, files=tuple(replace(file, size=each) for file in pins.files))
        return resolve(profile, Site(), machine, replace(PINS, weights={"tiny": sized}))

    seeing = made(EYES, "mmproj-F16.gguf", "tiny.gguf")
    blind = made(replace(DECODER, key="tiny", modelscope="o/tiny", huggingface=None), "tiny.gguf")
    weights = seeing.services[0].weights
    assert (weights.opened, weights.projector) == ("tiny.gguf", "mmproj-F16.gguf")
    found = settings(seeing)
    assert found["LLAMA_ARG_MODEL"] == "/data/models/tiny/tiny.gguf"
    assert found["LLAMA_ARG_MMPROJ"] == "/data/models/tiny/mmproj-F16.gguf"
    assert weights.projector_path in weights.paths
    assert "LLAMA_ARG_MMPROJ" not in settings(blind)

    def counted(plan: HostPlan) -> int:
        ledger = plan.services[0].placement.ledger
        return ledger.cards[0].lines["weights"] if cards else ledger.host["weights"]

    assert counted(seeing) - counted(blind) == pytest.approx(EYES.projector_size, rel=0.01)


def test_a_projector_that_is_not_there_or_not_one_is_refused() -> None:
    served = Service(name="it", engine="llama.cpp", model=EYES, port=8000)
    for files, what in ((["tiny.gguf"], "no file"), (["mmproj-1.gguf", "mmproj-2.gguf"], "mmproj")):
        pins = replace(PINS, weights=locks(["tiny.gguf", *files]).weights)
        plan = resolve(HostProfile(services=(served,)), Site(), MACHINE, pins)
        assert any(f"projector mmproj-*.gguf selects {what}" in str(each) for each in plan.refusals)


def test_images_need_what_reads_them() -> None:
    assert EYES.images
    assert not replace(EYES, projector=None).images
    assert replace(EYES, format="safetensors", projector=None).images
    assert not DECODER.images
