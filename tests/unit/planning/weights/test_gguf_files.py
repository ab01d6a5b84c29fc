"""What is opened is the model: in whatever case and folder, beside whatever else, or refused."""

from __future__ import annotations

import pytest

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.weights import gguf_files
from deploys.planning.weights.listing import Listed, files_of
from tests.unit.planning.plan_examples import attempt, locks, model, plan, profile, service

ALL = ("*.gguf*", "*.GGUF*")
VISION = "qwen2-vl-7b-instruct-q4_k_m.gguf"
SHARDS = ("q4_k_m/x-00001-of-00002.gguf", "q4_k_m/x-00002-of-00002.gguf")
UPPER = ("X-00001-of-00002.GGUF", "X-00002-of-00002.GGUF")
PIECES = ("M.Q6_K.gguf.part1of2", "M.Q6_K.gguf.part2of2")


def opened(*paths: str, engine: str = "llama.cpp", merge: bool | None = None) -> str | None:
    """The file in the plan, of files that a hub lists and that are pinned."""
    chosen = model(files=ALL)
    files_of(chosen, [Listed(path=path, size=1, sha256="a" * 64) for path in paths])
    wanted = profile(service(engine=engine, model=chosen, merge=merge))
    entry = plan(wanted, pins=locks(paths)).weights[0].entry
    return entry and entry.removeprefix("/data/models/tiny/")


@pytest.mark.parametrize("engine", ["llama.cpp", "ollama"])
@pytest.mark.parametrize(
    ("paths", "file"),
    [
        # oobabooga/textgen issue 6187, ggml-org/llama.cpp issue 7799, ollama/ollama issue 14730.
        (("mmproj-model-f16.gguf", VISION), VISION),
        (("Qwen3-VL-8B-Q4_K_M.gguf", "mmproj-F16.gguf"), "Qwen3-VL-8B-Q4_K_M.gguf"),
        (("a-mmproj-f16.gguf", "b.gguf"), "b.gguf"),
        (("A.MMPROJ-F16.GGUF", "b.gguf"), "b.gguf"),
        (("mmproj/model-f16.gguf", "model.gguf"), "model.gguf"),
        (("imatrix_unsloth.gguf", "model.gguf"), "model.gguf"),
        (("MODEL-Q4_K_M.GGUF",), "MODEL-Q4_K_M.GGUF"),
        (("MODEL.GGUF", "mmproj.gguf"), "MODEL.GGUF"),
    ],
)
def test_it_is_the_model_whatever_lies_beside_it(
    engine: str, paths: tuple[str, ...], file: str
) -> None:
    assert opened(*paths, engine=engine) == file


@pytest.mark.parametrize(
    ("paths", "file"),
    [
        (("m-Q4_K_M.gguf", "m-draft-Q8_0.gguf"), "m-Q4_K_M.gguf"),
        (("m-Q4_K_M.gguf", "mtp/m-Q8_0.gguf"), "m-Q4_K_M.gguf"),
        (("m-Q4_K_M.gguf", "m-MTP-Q4_K_M.gguf"), "m-Q4_K_M.gguf"),
        (("m-eagle3-F16.gguf", "m-Q4_K_M.gguf"), "m-Q4_K_M.gguf"),
        (("ggml-vocab-m.gguf", "m.gguf"), "m.gguf"),
        # A model may be called so, where nothing else is there.
        (("m-MTP-Q4_K_M.gguf",), "m-MTP-Q4_K_M.gguf"),
        (
            ("a-draft-00001-of-00002.gguf", "a-draft-00002-of-00002.gguf"),
            "a-draft-00001-of-00002.gguf",
        ),
    ],
)
def test_a_draft_is_not_the_model_where_there_is_one(paths: tuple[str, ...], file: str) -> None:
    assert opened(*paths) == file


def test_what_a_header_says_goes_before_its_name() -> None:
    files = ["a.gguf", "b.gguf"]
    for said in (
        {"general.architecture": "clip"},
        {"general.type": "adapter"},
        {"general.type": "imatrix"},
        {"general.architecture": "eagle3"},
    ):
        assert gguf_files.model_file(files, {"a.gguf": said}) == "b.gguf"
    with pytest.raises(Refusal, match="several models"):
        gguf_files.model_file(files, {"a.gguf": {"general.architecture": "llama"}})
    with pytest.raises(Refusal, match="none of its files is a model"):
        gguf_files.check(["a.gguf"], {"a.gguf": {"general.type": "mmproj"}})


@pytest.mark.parametrize(
    ("names", "count", "said"),
    [
        ((1, 2, 3), 3, None),
        ((1, 2, 3), 5, r"of the 5 shards of x, 2 are missing \(4, 5\)"),
        ((1, 2, 3), 2, r"of the 2 shards of x, 1 are too many \(3\)"),
        ((1, 2), None, r"of the 3 shards of x, 1 are missing \(3\)"),
        ((2, 3), None, r"of the 3 shards of x, 1 are missing \(1\)"),
        ((0, 1, 2), None, None),
        ((0, 1), 3, r"1 are missing \(2\)"),
        ((0, 1), None, r"1 are missing \(2\)"),
        ((0, 1, 2, 3), None, r"1 are too many \(3\)"),
    ],
)
def test_a_set_is_whole_by_its_header_and_else_by_its_names(
    names: tuple[int, ...], count: int | None, said: str | None
) -> None:
    paths = [f"x-{number:05d}-of-00003.gguf" for number in names]
    headers = {} if count is None else {paths[0]: {"split.count": count}}
    if said is None:
        gguf_files.check(paths, headers)
        return
    with pytest.raises(Refusal, match=said):
        gguf_files.check(paths, headers)


def test_shards_that_begin_at_0_become_one_file() -> None:
    from_0 = ("X-00000-of-00002.gguf", "X-00001-of-00002.gguf")
    assert opened(*from_0, engine="ollama") == opened(*from_0, merge=True) == "X.gguf"
    with pytest.raises(Refusal, match=r"only if its name ends in -00001-of-00002\.gguf"):
        opened(*from_0)


def test_of_shards_it_is_the_first_or_what_they_become() -> None:
    assert opened("mmproj-F16.gguf", *SHARDS) == SHARDS[0]
    assert opened("mmproj-F16.gguf", *SHARDS, engine="ollama") == "x.gguf"
    assert opened(*UPPER, engine="ollama") == opened(*UPPER, merge=True) == "X.gguf"


def test_shards_whose_names_llama_cpp_does_not_find_are_refused() -> None:
    with pytest.raises(Refusal, match=r"Set merge=True of tiny"):
        opened(*UPPER)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (("mmproj-F16.gguf",), "none of its files is a model .*: mmproj-F16.gguf. Set files of"),
        (("mmproj-F16.gguf", *PIECES), "part1of2 is a piece of a file, .*. Set files of the model"),
        (PIECES, "part1of2 is a piece of a file, .*. Set files of the model to a whole GGUF"),
        (("m.GGUF-split-a", "m.GGUF-split-b"), "m.GGUF-split-a is a piece of a file"),
        (("m.gguf", "m.gguf.001", "m.gguf.002"), "several models: m.gguf, m.gguf in pieces"),
        (("m-Q4.gguf", "m-Q8.GGUF"), "several models: m-Q4.gguf, m-Q8.GGUF. Narrow"),
        ((*SHARDS, "y.gguf"), "several models: q4_k_m/x, y.gguf"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("engine", ["llama.cpp", "ollama"])
def test_what_cannot_be_decided_is_refused(engine: str, paths: tuple[str, ...], said: str) -> None:
    with pytest.raises(Refusal, match=said):
        opened(*paths, engine=engine)
    # Pinned by a version that let it pass, too.
    pinned = attempt(
        profile(service(engine=engine, model=model(files=ALL))), pins=locks(sorted(paths))
    )
    assert any("then remove the entry of tiny from" in str(each) for each in pinned.refusals)
    assert not pinned.weights
