"""Models that profiles name by a hub: read once through the real clients, and from pins after."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploys.control import checkpoints, hub_clients, locks
from deploys.control import hub as asking
from deploys.planning.adapters.adapter import Adapter
from deploys.planning.checkpoint.published import Published
from deploys.planning.checkpoint.reference import reference
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import GLOBAL, Site
from deploys.planning.resolve import resolve
from deploys.remote.hubs import documents, listing
from tests.lab import tiny_adapter, tiny_folder, tiny_model
from tests.lab.hub import Hub
from tests.lab.tiny_adapter import TinyAdapter
from tests.lab.tiny_model import TEMPLATE, TinyModel
from tests.unit.planning.plan_examples import MACHINE, service

FOLDER = "modelrack-lab/tiny-qwen2"
GGUF = "modelrack-lab/tiny-qwen2-gguf"
WITH_GGUF = TinyAdapter(TinyModel())
WITH_PEFT = TinyAdapter(TinyModel(width=tiny_folder.WIDTH))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    # In this process, which spares each test the second that importing the clients takes.
    monkeypatch.setattr(asking, "_ask_here", lambda requests: [*map(_answered, requests)])
    monkeypatch.setattr(checkpoints, "_read", {})
    tiny_folder.publish(tmp_path / "hub")
    tiny_model.publish(tmp_path / "hub")
    tiny_adapter.publish(tmp_path / "hub", WITH_GGUF, WITH_PEFT)
    with Hub(tmp_path / "hub") as hub:
        yield hub


def _answered(request: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(json.dumps(hub_clients.answer(request))))


def _site(hub: Hub, tmp_path: Path, **fields: Any) -> Site:
    mirrors = replace(GLOBAL, modelscope=hub.url, huggingface=hub.url)
    return Site(**{"mirrors": mirrors, "locks": tmp_path / "locks", **fields})


def _profile(name: str, **fields: Any) -> HostProfile:
    engine = "llama.cpp" if "gguf" in name else "vllm"
    return HostProfile(services=(service(model=name, engine=engine),), **fields)


def _read(name: str, site: Site, machine: asking.Ask | None = None) -> Published:
    found = checkpoints.with_published(_profile(name), site, machine)
    published = found.published[reference(name).key]
    if isinstance(published, Refusal):
        raise published
    return published


@pytest.mark.parametrize("hub_name", ["modelscope", "huggingface"])
def test_a_folder_is_read_at_a_commit(hub: Hub, tmp_path: Path, hub_name: str) -> None:
    found = _read(f"{hub_name}:{FOLDER}", _site(hub, tmp_path))
    assert found.revision == hub.commit(FOLDER)
    assert found.files == {entry.path: entry.size for entry in hub.entries(FOLDER)}
    assert found.documents.config["model_type"] == "qwen2"
    assert found.documents.template == TEMPLATE
    # Neither the weights nor the tokenizer were fetched for it.
    sent = {each.name.rpartition("/")[2] for each in hub.requests}
    documents = {"config.json", "generation_config.json", "tokenizer_config.json", "README.md"}
    assert sent - {"", ".git"} == documents


@pytest.mark.parametrize("hub_name", ["modelscope", "huggingface"])
def test_of_a_gguf_the_headers_are_read(hub: Hub, tmp_path: Path, hub_name: str) -> None:
    # Many such repositories have the configuration of what they were made from, too.
    (hub.root / GGUF / "config.json").write_text('{"architectures": ["Qwen2ForCausalLM"]}')
    name, site = f"{hub_name}:{GGUF}:Q8_0", _site(hub, tmp_path)
    found = _read(name, site)
    shards = [f"tiny-qwen2-Q8_0-0000{number}-of-00002.gguf" for number in (1, 2)]
    assert list(found.documents.gguf) == shards
    assert found.documents.gguf[shards[0]]["general.architecture"] == "qwen2"
    model, lines = checkpoints.one(name, site, None)
    assert (model.format, model.network.layers, model.quantization) == ("gguf", 2, "Q8_0")
    assert "qwen2, " in lines[0] and "256 bytes of cache a token" in lines[0]
    assert found.documents.template == TEMPLATE


def test_which_of_several_is_asked_before_anything_is_read(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=f"Write modelscope:{GGUF}:F16, or another of them: Q8_0"):
        _read(f"modelscope:{GGUF}", _site(hub, tmp_path))


def test_what_is_pinned_is_planned_without_a_hub_and_just_as_before(
    hub: Hub, tmp_path: Path
) -> None:
    site, profile = _site(hub, tmp_path), _profile(f"modelscope:{FOLDER}")
    found = checkpoints.with_published(profile, site, None)
    first = resolve(profile, site, MACHINE, found)
    assert not (tmp_path / "locks").exists(), "a plan alone writes nothing"
    checkpoints.keep(profile, site)
    written = (tmp_path / "locks/models").iterdir()
    assert [path.name for path in written] == [f"{reference(f'modelscope:{FOLDER}').key}.json"]
    checkpoints._read.clear()
    hub.close()
    again = checkpoints.with_published(profile, site, None)
    assert again == found
    assert resolve(profile, site, MACHINE, again) == first
    # A locked profile has it, too.
    locked = checkpoints.with_published(replace(profile, locked=True), site, None)
    assert resolve(profile, site, MACHINE, locked) == first
    checkpoints.keep(profile, site)


def test_a_locked_profile_reads_nothing_and_refuses_what_is_not_pinned(
    hub: Hub, tmp_path: Path
) -> None:
    site, profile = _site(hub, tmp_path), _profile(f"modelscope:{FOLDER}", locked=True)
    found = checkpoints.with_published(profile, site, None)
    assert not hub.requests
    refusals = resolve(profile, site, MACHINE, found).refusals
    assert [each.service for each in refusals] == ["tiny"]
    assert "is not pinned in" in refusals[0].reason and "deploys/lock.py" in refusals[0].hint


def test_documents_are_of_the_commit_at_which_the_weights_are_pinned(
    hub: Hub, tmp_path: Path
) -> None:
    site, name = _site(hub, tmp_path), f"modelscope:{FOLDER}"
    profile = _profile(name)
    plan = resolve(profile, site, MACHINE, checkpoints.with_published(profile, site, None))
    model = plan.profile.services[0].model
    pinned = asking.pin(model, plan.weights[0].sources, {}).lock
    assert pinned.revision == hub.commit(FOLDER)
    assert [file.path for file in pinned.files] == sorted(model.files)
    locks.write(site.locks, {model.key: pinned})
    checkpoints._read.clear()
    (hub.root / FOLDER / "more.json").write_text("{}")
    refused = checkpoints.with_published(profile, site, None).published[model.key]
    # The stand-in has one commit at a time, and says that it lost the old one.
    assert isinstance(refused, Refusal) and "404" in refused.reason


def test_a_machine_reads_where_no_hub_is_to_be_reached_from_here(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, site = f"modelscope:{GGUF}:F16", _site(hub, tmp_path)
    here = _read(name, site)
    nothing = {"problem": "no way", "status": 0}
    monkeypatch.setattr(asking, "_ask_here", lambda requests: [nothing for _ in requests])
    monkeypatch.setattr(checkpoints, "_read", {})
    with pytest.raises(Refusal, match="no way"):
        _read(name, site)

    def machine(requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        program = documents if "texts" in requests[0] else listing
        return [program.answer(request) for request in requests]

    monkeypatch.setattr(checkpoints, "_read", {})
    assert _read(name, site, machine) == here


def test_a_gated_model_takes_the_token_and_never_prints_it(hub: Hub, tmp_path: Path) -> None:
    hub.gates[FOLDER] = "secret-canary"
    name = f"huggingface:{FOLDER}"
    with pytest.raises(Refusal, match=r"wants a token.*tokens=\{'huggingface': Path"):
        _read(name, _site(hub, tmp_path))
    checkpoints._read.clear()
    (tmp_path / "token").write_text("secret-canary\n")
    site = _site(hub, tmp_path, tokens={"huggingface": tmp_path / "token"})
    assert "canary" not in json.dumps(_read(name, site).to_json())


def test_a_hub_that_the_site_does_not_have_is_not_asked(hub: Hub, tmp_path: Path) -> None:
    site = _site(hub, tmp_path, hubs=("modelscope",))
    with pytest.raises(Refusal, match=r"on none of the hubs of this site \(modelscope\)"):
        _read(f"huggingface:{FOLDER}", site)
    closed = _site(hub, tmp_path, mirrors=replace(GLOBAL, modelscope=None))
    with pytest.raises(Refusal, match="no way to modelscope"):
        _read(f"modelscope:{GGUF}:F16", closed)
    assert not hub.requests


@pytest.mark.parametrize(
    ("path", "content"),
    [("config.json", b"{"), ("config.json", b"[]"), ("model.safetensors.index.json", b"[]")],
)
def test_documents_that_are_none_are_refused(
    hub: Hub, tmp_path: Path, path: str, content: bytes
) -> None:
    (hub.root / FOLDER / path).write_bytes(content)
    site, profile = _site(hub, tmp_path), _profile(f"modelscope:{FOLDER}")
    plan = resolve(profile, site, MACHINE, checkpoints.with_published(profile, site, None))
    assert [each.service for each in plan.refusals] == ["tiny"]
    checkpoints.keep(profile, site)


def test_a_damaged_pin_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "models" / "x.json"
    path.parent.mkdir()
    for text in ("{", "[]", "{}", '{"reference": "a", "revision": "b", "files": {"c": "d"}}'):
        path.write_text(text)
        with pytest.raises(Refusal, match="Restore the file from git"):
            locks.read(tmp_path)


def test_what_was_understood_is_said(hub: Hub, tmp_path: Path) -> None:
    model, lines = checkpoints.one(f"modelscope:{FOLDER}", _site(hub, tmp_path), None)
    assert model.confirmed and model.format == "safetensors"
    assert "Qwen2ForCausalLM" in lines[0] and "512 bytes of cache a token" in lines[0]
    assert "under which licence" in lines[1]
    known, nothing = checkpoints.one("deepseek-r1-awq", _site(hub, tmp_path), None)
    assert (known.key, nothing) == ("deepseek-r1-awq", [])
    assert isinstance(locks.read(tmp_path / "locks"), Locks)


@pytest.mark.parametrize("hub_name", ["modelscope", "huggingface"])
@pytest.mark.parametrize(
    ("model", "engine", "adapter", "widths"),
    [
        (f"{GGUF}:F16", "llama.cpp", "tiny-adapter-gguf:tiny-adapter-F32", ("ffn_down", 128, 64)),
        (FOLDER, "vllm", "tiny-adapter", ("down_proj", 256, 128)),
    ],
)
def test_an_adapter_is_read_pinned_and_planned_without_a_hub(
    hub: Hub, tmp_path: Path, hub_name: str, model: str, engine: str, adapter: str, widths: Any
) -> None:
    site, named = _site(hub, tmp_path), f"{hub_name}:modelrack-lab/{adapter}"
    wanted = service(
        name="tiny", engine=engine, model=f"{hub_name}:{model}", adapters={"later": named}
    )
    profile = HostProfile(services=(wanted,))
    found = checkpoints.with_published(profile, site, None)
    first = resolve(profile, site, MACHINE, found)
    assert not first.refusals, first.refusals
    made = (first.profile.services[0].adapters or {})["later"]
    assert isinstance(made, Adapter) and made.rank == 8 and made.alpha == 16
    matrix = made.matrices[0]
    assert (matrix.name, matrix.inputs, matrix.outputs, matrix.count) == (*widths, 1)
    # No more of the weights than their header.
    weights = [each for each in hub.requests if each.name.endswith(made.file)]
    assert weights and all(each.range for each in weights), hub.requests
    (line,) = [
        each for each in checkpoints.understood(profile, first, found) if each.startswith(named)
    ]
    assert "a LoRA adapter in" in line and "rank 8, alpha 16" in line
    checkpoints.keep(profile, site)
    assert len([*(tmp_path / "locks/models").iterdir()]) == 2
    checkpoints._read.clear()
    hub.close()
    again = checkpoints.with_published(replace(profile, locked=True), site, None)
    assert again == found
    # As a run goes on that has pinned what it needs.
    assert resolve(first.profile, site, MACHINE, again).services == first.services


def test_a_model_and_an_adapter_are_not_taken_for_each_other(hub: Hub, tmp_path: Path) -> None:
    site = _site(hub, tmp_path)
    for name in ("tiny-adapter", "tiny-adapter-gguf:tiny-adapter-F32"):
        profile = _profile(f"modelscope:modelrack-lab/{name}")
        found = checkpoints.with_published(profile, site, None)
        (refusal,) = resolve(profile, site, MACHINE, found).refusals
        assert "is an adapter, and no model by itself" in refusal.reason
        assert "among adapters of the service" in refusal.hint
    wanted = service(engine="vllm", model=f"modelscope:{FOLDER}")
    wanted = replace(wanted, adapters={"later": f"modelscope:{FOLDER}"})
    profile = HostProfile(services=(wanted,))
    found = checkpoints.with_published(profile, site, None)
    (refusal,) = resolve(profile, site, MACHINE, found).refusals
    assert "is a model by itself, and no LoRA adapter" in refusal.reason
