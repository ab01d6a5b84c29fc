"""What Ollama's folder of models looks like: names, versions, what is shown of a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import LlamaFileType

from deploys.remote.lib.failure import Failure
from deploys.remote.ollama import store

VERSIONS = {
    "0.24.0": True,
    "v0.33.1": True,
    "0.33.0-rc2": True,
    "0.23.9": False,
    "0.35.0": True,
    "0.36.0": False,
    "1.0.0": False,
    "main": False,
}


def test_versions_whose_folder_is_known() -> None:
    assert {version: store.is_known(version) for version in VERSIONS} == VERSIONS


NAMES = {
    "tiny": "registry.ollama.ai/library/tiny/latest",
    "tiny:f16": "registry.ollama.ai/library/tiny/f16",
    "owner/tiny": "registry.ollama.ai/owner/tiny/latest",
    "lab.local/owner/tiny:f16": "lab.local/owner/tiny/f16",
}


@pytest.mark.parametrize("name", NAMES)
def test_where_a_manifest_is(name: str) -> None:
    path = store.manifest_path(Path("/models"), name)
    assert path == Path("/models/manifests", NAMES[name])


@pytest.mark.parametrize("name", ["", "a/b/c/d", "../x", "a:", "a b", ".hidden", "a/../b"])
def test_names_that_would_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(Failure, match="cannot be the name of a model in Ollama"):
        store.manifest_path(tmp_path, name)


def test_file_types_are_those_of_llama_cpp() -> None:
    theirs = {
        each.value: each.name.removeprefix("MOSTLY_").removeprefix("ALL_") for each in LlamaFileType
    }
    assert {kind: theirs[kind] for kind in store.FILE_TYPES} == store.FILE_TYPES


def test_numbers_in_a_network() -> None:
    shown = {7_615_616_512: "7.6B", 494_032_768: "494.03M", 224_128: "224K"}
    assert {count: store.count_text(count) for count in shown} == shown
