"""Pins through the real clients, against stand-ins for both hubs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploys.control import hub as pins
from deploys.control import hub_clients
from deploys.planning.inputs.locks import Place
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.weights.plan import HubSource
from tests.lab.hub import Hub
from tests.lab.tiny_model import TinyModel
from tests.unit.planning.plan_examples import model

REPOSITORY = "maker/small"
FILES = {
    "README.md": b"# small\n",
    "config.json": b'{"quantization_config": {"quant_method": "awq"}}',
    "configuration.json": b"{}",
    "model-00001-of-00002.safetensors": b"1" * 5000,
    "model-00002-of-00002.safetensors": b"2" * 4000,
}
MODEL = model(
    key="small",
    format="safetensors",
    quantization="AWQ",
    modelscope=REPOSITORY,
    huggingface=REPOSITORY,
    files=("*.safetensors", "*.json"),
)


@pytest.fixture
def modelscope(tmp_path: Path) -> Iterator[Hub]:
    with _hub(tmp_path / "modelscope") as hub:
        yield hub


@pytest.fixture
def huggingface(tmp_path: Path) -> Iterator[Hub]:
    with _hub(tmp_path / "huggingface", readme=b"# another text\n") as hub:
        yield hub


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both clients in this process, which spares each test the second that importing takes."""
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pins, "_ask_here", _answered)


def _answered(requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [json.loads(json.dumps(hub_clients.answer(request))) for request in requests]


def _hub(root: Path, readme: bytes = FILES["README.md"]) -> Hub:
    for name, data in {**FILES, "README.md": readme}.items():
        path = root / REPOSITORY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return Hub(root)


def _sources(modelscope: Hub | None, huggingface: Hub | None) -> list[HubSource]:
    hubs = (("modelscope", modelscope, "master"), ("huggingface", huggingface, "main"))
    return [
        HubSource(
            kind=kind,  # type: ignore[arg-type]
            endpoint=hub.url,
            repository=REPOSITORY,
            revision=revision,
        )
        for kind, hub, revision in hubs
        if hub
    ]


def _at(sources: Sequence[HubSource], places: Sequence[Place]) -> list[HubSource]:
    """The sources as a later plan has them: at the revisions that are pinned."""
    revisions = {place.hub: place.revision for place in places}
    return [replace(each, revision=revisions.get(each.kind, each.revision)) for each in sources]


def test_both_hubs_are_pinned_each_at_its_own_commit(modelscope: Hub, huggingface: Hub) -> None:
    pinned = pins.pin(MODEL, _sources(modelscope, huggingface), {})
    assert pinned.notes == ()
    commits = modelscope.commit(REPOSITORY), huggingface.commit(REPOSITORY)
    assert commits[0] != commits[1]
    assert pinned.lock.places == (
        Place(hub="modelscope", repository=REPOSITORY, revision=commits[0]),
        Place(hub="huggingface", repository=REPOSITORY, revision=commits[1]),
    )
    assert [file.path for file in pinned.lock.files] == [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


def test_small_files_that_hugging_face_lists_without_a_sha256_are_hashed(huggingface: Hub) -> None:
    pinned = pins.pin(MODEL, _sources(None, huggingface), {})
    true = {entry.path: entry.sha256 for entry in huggingface.entries(REPOSITORY)}
    assert {file.path: file.sha256 for file in pinned.lock.files}["config.json"] == (
        true["config.json"]
    )
    # What no pattern selects was not fetched for it.
    fetched = {request.name for request in huggingface.requests if "/resolve/" in request.path}
    assert fetched == {f"{REPOSITORY}/config.json", f"{REPOSITORY}/configuration.json"}


def test_content_other_than_listed_is_not_hashed(huggingface: Hub) -> None:
    huggingface.faults.add("corrupt", f"{REPOSITORY}/config.json")
    with pytest.raises(Refusal, match=r"sends other content of config\.json than it lists"):
        pins.pin(MODEL, _sources(None, huggingface), {})


def test_a_large_file_without_a_sha256_is_refused(
    huggingface: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pins, "_SMALL", 4500)
    huggingface.faults.add("no_sha256", f"{REPOSITORY}/model-0000?-of-*")
    with pytest.raises(Refusal, match=r"no sha256 for model-00001-of-00002\.safetensors"):
        pins.pin(MODEL, _sources(None, huggingface), {})
    monkeypatch.setattr(pins, "_SMALL", 5000)
    assert pins.pin(MODEL, _sources(None, huggingface), {}).lock.size == 9000 + len(
        FILES["config.json"]
    )


def test_modelscope_without_its_git_pins_the_branch_and_says_so(modelscope: Hub) -> None:
    modelscope.faults.add("status", f"{REPOSITORY}/.git", code=404)
    pinned = pins.pin(MODEL, _sources(modelscope, None), {})
    assert pinned.lock.revision == "master"
    (note,) = pinned.notes
    assert "does not say which commit master" in note


def test_a_hub_with_other_content_is_left_out_and_named(modelscope: Hub, huggingface: Hub) -> None:
    (huggingface.root / REPOSITORY / "config.json").write_bytes(b"{}")
    pinned = pins.pin(MODEL, _sources(modelscope, huggingface), {})
    assert [place.hub for place in pinned.lock.places] == ["modelscope"]
    (note,) = pinned.notes
    assert "huggingface" in note and "config.json has sha256" in note
    for hub in (modelscope, huggingface):
        (config,) = [each for each in hub.entries(REPOSITORY) if each.path == "config.json"]
        assert config.sha256 in note


@pytest.mark.parametrize("code", [401, 403, 404, 500])
def test_a_hub_that_does_not_answer_is_reported_and_the_other_used(
    modelscope: Hub, huggingface: Hub, code: int
) -> None:
    huggingface.faults.add("status", code=code)
    pinned = pins.pin(MODEL, _sources(modelscope, huggingface), {})
    assert [place.hub for place in pinned.lock.places] == ["modelscope"]
    (note,) = pinned.notes
    assert "huggingface" in note and str(code) in note


def test_no_hub_is_a_refusal_with_the_reason_of_each(modelscope: Hub, huggingface: Hub) -> None:
    modelscope.faults.add("status", code=404)
    narrow = replace(MODEL, files=("*.gguf",))
    with pytest.raises(Refusal) as refusal:
        pins.pin(narrow, _sources(modelscope, huggingface), {})
    assert f"modelscope:{REPOSITORY} ({modelscope.url})" in refusal.value.reason
    assert "404" in refusal.value.reason
    assert "none of its files matches *.gguf" in refusal.value.reason


def test_a_gated_repository_says_which_token_to_write(modelscope: Hub, huggingface: Hub) -> None:
    sources = _sources(modelscope, huggingface)
    modelscope.gates[REPOSITORY] = huggingface.gates[REPOSITORY] = "secret-canary"
    with pytest.raises(Refusal, match=r"tokens=\{'modelscope': Path.*tokens=\{'huggingface'"):
        pins.pin(MODEL, sources, {})
    with pytest.raises(Refusal, match=r"does not accept the token.*Accept the licence") as refusal:
        pins.pin(MODEL, sources, {"modelscope": "wrong-canary", "huggingface": "wrong-canary"})
    assert "canary" not in str(refusal.value)
    tokens = {"modelscope": "secret-canary", "huggingface": "secret-canary"}
    pinned = pins.pin(MODEL, sources, tokens)  # type: ignore[arg-type]
    assert len(pinned.lock.places) == 2 and len(pinned.lock.revision) == 40
    assert "canary" not in json.dumps(pinned.lock.to_json())


def test_what_is_pinned_is_found_unchanged(modelscope: Hub, huggingface: Hub) -> None:
    sources = _sources(modelscope, huggingface)
    lock = pins.pin(MODEL, sources, {}).lock
    again = pins.check(MODEL, lock, _at(sources, lock.places), {})
    assert again.lock == lock and again.notes == ()


@pytest.mark.parametrize("lie", ["wrong_sha256", "wrong_size"])
def test_other_content_at_a_pinned_revision_is_an_error_with_both(
    modelscope: Hub, huggingface: Hub, lie: str
) -> None:
    sources = _sources(modelscope, huggingface)
    lock = pins.pin(MODEL, sources, {}).lock
    modelscope.faults.add(lie, f"{REPOSITORY}/model-00002*")
    with pytest.raises(Refusal, match="no longer has what is pinned") as refusal:
        pins.check(MODEL, lock, _at(sources, lock.places), {})
    entry = lock.files[-1]
    said = entry.sha256 if lie == "wrong_sha256" else "4001 bytes there, and 4000 are pinned"
    assert said in refusal.value.reason and lock.revision in refusal.value.reason


def test_a_hub_that_joins_later_is_added_and_one_that_is_away_is_reported(
    modelscope: Hub, huggingface: Hub
) -> None:
    sources = _sources(modelscope, huggingface)
    lock = pins.pin(MODEL, sources[:1], {}).lock
    both = pins.check(MODEL, lock, _at(sources, lock.places), {}).lock
    assert both.also == (
        Place(hub="huggingface", repository=REPOSITORY, revision=huggingface.commit(REPOSITORY)),
    )
    modelscope.faults.add("status", code=404)
    away = pins.check(MODEL, both, _at(sources, both.places), {})
    assert away.lock == both and "modelscope" in away.notes[0]
    huggingface.faults.add("status", code=404)
    with pytest.raises(Refusal, match="No hub could be asked whether the pins of small still hold"):
        pins.check(MODEL, both, _at(sources, both.places), {})


def test_a_machine_is_asked_only_where_no_hub_can_be_reached(
    modelscope: Hub, huggingface: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deploys.remote.hubs import documents, listing

    asked: list[int] = []

    def machine(requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        asked.append(len(requests))
        program = documents if "texts" in requests[0] else listing
        return [program.answer(request) for request in requests]

    sources = _sources(modelscope, huggingface)
    here = pins.pin(MODEL, sources, {}, machine)
    assert not asked
    nothing = {"problem": "no way", "status": 0}
    monkeypatch.setattr(pins, "_ask_here", lambda requests: [nothing for _ in requests])
    assert pins.pin(MODEL, sources, {}, machine) == here
    # Both for their listings, and each for the documents that prove the entry.
    assert asked == [2, 1, 1]
    with pytest.raises(Refusal, match="no way"):
        pins.pin(MODEL, sources, {}, lambda requests: [])


def test_what_is_not_as_its_entry_says_is_refused_before_its_weights_are_fetched(
    modelscope: Hub, huggingface: Hub
) -> None:
    hubs = (modelscope, huggingface)
    said = r"its entry says GPTQ, and config\.json says AWQ.*Set quantization='AWQ' of the model"
    with pytest.raises(Refusal, match=said):
        pins.pin(replace(MODEL, quantization="GPTQ-Int4"), _sources(*hubs), {})
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-x.safetensors"}}
    for hub in hubs:
        path = hub.root / REPOSITORY / "model.safetensors.index.json"
        path.write_text(json.dumps(index))
    with pytest.raises(Refusal, match=r"of the 2 files .* 1 are missing \(model-x\.safetensors\)"):
        pins.pin(MODEL, _sources(*hubs), {})
    fetched = {request.path for hub in hubs for request in hub.requests}
    assert not [path for path in fetched if "00001-of-00002" in path]


def test_the_header_of_a_gguf_is_read_before_it_is_fetched(tmp_path: Path) -> None:
    root = tmp_path / "hub"
    folder = root / REPOSITORY
    folder.mkdir(parents=True)
    first, *_ = TinyModel().write_split(folder, "a", "F16", 3)
    of_gguf = replace(MODEL, format="gguf", quantization="F16", files=("*.gguf",))
    with Hub(root) as hub:
        assert len(pins.pin(of_gguf, _sources(hub, hub), {}).lock.files) == 3
        first.rename(folder / "b.gguf")
        alone = replace(of_gguf, files=("b.gguf",))
        with pytest.raises(Refusal, match=r"b\.gguf is one of 3 shards by its header"):
            pins.pin(alone, _sources(hub, hub), {})
