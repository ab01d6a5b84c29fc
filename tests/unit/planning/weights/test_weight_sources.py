"""Where weights come from: pinned revisions, tokens by name alone, and what is checked of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deploys.control import tokens
from deploys.planning.inputs.locks import Locks, Place
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.weights.weights import weights_of
from tests.unit.planning.plan_examples import locks, model, plan, service

COMMIT = "ab" * 20
CANARY = "hf_canary0123456789"


def _with(*also: Place) -> Locks:
    pins = locks()
    return replace(pins, weights={"tiny": replace(pins.weights["tiny"], also=also)})


def test_every_place_is_asked_at_its_own_revision() -> None:
    also = Place(hub="huggingface", repository="o/tiny-hf", revision=COMMIT)
    sources = plan(pins=_with(also)).weights[0].sources
    assert [(source.kind, source.revision) for source in sources] == [
        ("modelscope", "c0ffee"),
        ("huggingface", COMMIT),
    ]


def test_a_revision_of_another_repository_is_no_revision_of_this_one() -> None:
    moved = Place(hub="huggingface", repository="somebody/else", revision=COMMIT)
    sources = plan(pins=_with(moved)).weights[0].sources
    assert (sources[1].repository, sources[1].revision) == ("o/tiny-hf", "main")


def test_folders_come_by_the_name_of_the_model_and_will_do_without_a_hub() -> None:
    none = replace(Site().mirrors, modelscope=None, huggingface=None)
    made = plan(site=Site(folders=("/mnt/usb/", "/nfs"), mirrors=none))
    assert made.weights[0].folders == ("/mnt/usb/tiny", "/nfs/tiny")
    assert made.weights[0].sources == () and not made.refusals
    with pytest.raises(Refusal, match="does not begin with /"):
        Site(folders=("usb",))


def test_a_token_is_a_file_on_each_side_and_no_part_of_what_is_recorded(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{CANARY}\n")
    site = Site(tokens={"huggingface": tmp_path / "token"})
    made = plan(site=site)
    assert [source.token_file for source in made.weights[0].sources] == [
        None,
        "/etc/modelrack/secrets/huggingface.token",
    ]
    assert tokens.of(site) == {"huggingface": CANARY}
    recorded = json.dumps(made.deployed())
    assert CANARY not in recorded and str(tmp_path) not in recorded
    assert CANARY not in repr(made) + repr(site.to_json())


@pytest.mark.parametrize("content", ["", "  \n", "two words", "two\nlines", "fuß"])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "token").write_text(content, encoding="utf-8")
    with pytest.raises(Refusal, match="does not hold a token for modelscope") as refusal:
        tokens.of(Site(tokens={"modelscope": tmp_path / "token"}))
    assert not content.strip() or content not in str(refusal.value)


def test_a_token_that_is_not_there_and_a_hub_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="The token for modelscope cannot be read"):
        tokens.of(Site(tokens={"modelscope": tmp_path / "none"}))
    with pytest.raises(Refusal, match="github, which is not a hub"):
        Site(tokens={"github": tmp_path})  # type: ignore[dict-item]


def test_safetensors_are_checked_against_what_the_catalogue_says() -> None:
    tree = model(format="safetensors", quantization="AWQ", files=("*",))
    (weights,) = weights_of([service(engine="vllm", model=tree)], Site(), Locks(), locked=False)
    assert weights.quantization == "AWQ"
    assert plan().weights[0].quantization is None
