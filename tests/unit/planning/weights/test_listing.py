"""A hub's listing becomes pins only where every file can be proven and all belong together."""

from __future__ import annotations

import pytest

from deploys.planning.inputs.locks import ListedFile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.weights.listing import Listed, difference, files_of
from tests.unit.planning.plan_examples import model

DIGEST = "ab" * 32
GGUF = model(files=("*.gguf",))
TREE = model(files=("*.safetensors", "*.json"), format="safetensors", quantization="AWQ")


def listed(*paths: str, sha256: str = DIGEST) -> list[Listed]:
    return [Listed(path=path, size=7, sha256=sha256) for path in paths]


def test_selected_files_are_sorted_and_the_rest_is_left() -> None:
    others = listed("README.md", sha256="")
    found = files_of(model(files=("*/a.gguf",)), [*listed("F16/a.gguf"), *others])
    assert found == (ListedFile(path="F16/a.gguf", size=7, sha256=DIGEST),)
    tree = files_of(TREE, listed("model.safetensors", "config.json", "a/b.json"))
    assert [file.path for file in tree] == ["a/b.json", "config.json", "model.safetensors"]


def test_a_digest_in_capitals_is_the_same_digest() -> None:
    assert files_of(GGUF, listed("a.gguf", sha256=DIGEST.upper()))[0].sha256 == DIGEST


def test_what_modelscope_writes_about_a_repository_is_no_part_of_the_model() -> None:
    (file,) = files_of(TREE, listed("configuration.json", "model.safetensors"))
    assert file.path == "model.safetensors"
    named = model(files=("configuration.json", "*.safetensors"), format="safetensors")
    assert len(files_of(named, listed("configuration.json", "model.safetensors"))) == 2


@pytest.mark.parametrize(
    "path",
    [
        *("../a.gguf", "/etc/a.gguf", "a/../../b.gguf", "a/..gguf/../x.gguf"),
        *("a\\b.gguf", "a\nb.gguf", "a\x7fb.gguf", "a//b.gguf", "./a.gguf"),
    ],
)
def test_a_path_that_leads_out_of_the_folder_is_refused(path: str) -> None:
    with pytest.raises(Refusal, match="leads out of the model's folder"):
        files_of(GGUF, listed(path))


@pytest.mark.parametrize("path", ["manifest.json", ".fetch/a.json"])
def test_a_name_of_our_own_record_is_refused(path: str) -> None:
    with pytest.raises(Refusal, match="our own record"):
        files_of(TREE, listed(path, "model.safetensors"))


@pytest.mark.parametrize("digest", ["", "ab" * 20, "z" * 64, DIGEST + "\n"])
def test_a_file_without_a_sha256_is_refused(digest: str) -> None:
    with pytest.raises(Refusal, match=r"no sha256 for a\.gguf"):
        files_of(GGUF, listed("a.gguf", sha256=digest))


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(Refusal, match="-1 bytes"):
        files_of(GGUF, [Listed(path="a.gguf", size=-1, sha256=DIGEST)])


def test_no_file_and_a_file_twice_are_refused() -> None:
    with pytest.raises(Refusal, match=r"none of its files matches \*\.gguf"):
        files_of(GGUF, listed("a.bin"))
    with pytest.raises(Refusal, match=r"lists a\.gguf twice"):
        files_of(GGUF, [*listed("a.gguf"), Listed(path="a.gguf", size=8, sha256=DIGEST)])


@pytest.mark.parametrize("path", ["pytorch_model.bin", "model.pt", "x/consolidated.pth", "A.CKPT"])
def test_a_pickle_is_taken_only_where_the_model_says_so(path: str) -> None:
    with pytest.raises(Refusal, match="is a pickle"):
        files_of(model(files=("*",), format="safetensors"), listed(path))
    if path.islower():
        files = (f"*.{path.rpartition('.')[2]}", "*.safetensors")
        said = model(files=files, format="safetensors")
        assert len(files_of(said, listed(path, "model.safetensors"))) == 2
        with pytest.raises(Refusal, match="none of its files is weights that an engine loads"):
            files_of(said, listed(path))


SHARDS = [f"a/m-{number:05d}-of-00003.gguf" for number in (1, 2, 3)]
PARTS = [f"model-{number:05d}-of-000003.safetensors" for number in (1, 2, 3)]


@pytest.mark.parametrize(("wanted", "shards"), [(GGUF, SHARDS), (TREE, PARTS)])
def test_a_set_of_shards_is_complete(wanted, shards: list[str]) -> None:
    assert len(files_of(wanted, listed(*shards))) == 3
    for missing in shards:
        rest = [shard for shard in shards if shard != missing]
        with pytest.raises(Refusal, match=r"of the 3 shards of \S+, 1 are missing"):
            files_of(wanted, listed(*rest))
    with pytest.raises(Refusal, match=r"1 are too many \(4\)"):
        files_of(wanted, listed(*shards, shards[0].replace("00001-", "00004-")))


INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("count", "first", "end"),
    # MiniMax-M2.7, MiniCPM5-1B, and what would be a set without its last shard if nobody knew.
    [(130, 0, 125), (1, 0, 1), (3, 1, 3)],
)
def test_numbers_are_a_convention_and_the_index_is_the_truth(
    count: int, first: int, end: int
) -> None:
    shards = [f"model-{each:05d}-of-{count:05d}.safetensors" for each in range(first, end)]
    assert len(files_of(TREE, listed(INDEX, *shards))) == len(shards) + 1
    with pytest.raises(Refusal, match="missing"):
        files_of(TREE, listed(*shards))
    with pytest.raises(Refusal, match="missing"):  # in another folder it says nothing of these
        files_of(TREE, listed(f"other/{INDEX}", *shards))


def test_shards_that_are_listed_and_not_selected_are_missing_whatever_an_index_says() -> None:
    shards = [f"model-{each:05d}-of-00009.safetensors" for each in range(5)]
    for wanted in ("0-3", "1-4", "0134"):
        files = (f"*-0000[{wanted}]-*", "*.json")
        chosen = model(files=files, format="safetensors", quantization="AWQ")
        with pytest.raises(Refusal, match="of the 9 shards of model, 1 are missing"):
            files_of(chosen, listed(INDEX, *shards))


def test_two_models_in_one_folder_are_refused() -> None:
    zero = [shard.replace("a/m", "zero/m-Zero") for shard in SHARDS]
    with pytest.raises(Refusal, match=r"several models: a/m, zero/m-Zero"):
        files_of(GGUF, listed(*SHARDS, *zero))
    with pytest.raises(Refusal, match="several models"):
        files_of(GGUF, listed("m-Q4_K_M.gguf", "m-Q8_0.gguf"))
    with pytest.raises(Refusal, match="several models"):
        files_of(TREE, listed(*PARTS, *(part.replace("model", "zero") for part in PARTS)))


def test_what_belongs_beside_a_model_is_no_second_one() -> None:
    assert len(files_of(GGUF, listed("m-Q4_K_M.gguf", "mmproj-F16.gguf"))) == 2
    assert len(files_of(TREE, listed(*PARTS, "mtp.safetensors", "config.json"))) == 5


def test_a_difference_names_both_digests() -> None:
    pinned = [
        ListedFile(path="a", size=7, sha256=DIGEST),
        ListedFile(path="b", size=7, sha256=DIGEST),
    ]
    assert difference(pinned, listed("a", "b", "c", sha256=DIGEST.upper())) == ""
    assert difference(pinned, listed("a")) == "b is not there"
    other = "cd" * 32
    text = difference(pinned, [*listed("a"), *listed("b", sha256=other)])
    assert "b has sha256" in text and other in text and DIGEST in text
    assert "8 bytes" in difference(pinned, [*listed("a"), Listed(path="b", size=8, sha256=DIGEST)])
    assert "unknown" in difference(pinned, listed("a", "b", sha256=""))
