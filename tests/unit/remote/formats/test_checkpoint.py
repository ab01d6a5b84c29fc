"""A folder of safetensors is complete, and quantized as the catalogue says, or it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from deploys.remote.download import fetch
from deploys.remote.formats import checkpoint
from deploys.remote.formats.quantization import quantization_of
from deploys.remote.formats.quantization_names import same
from deploys.remote.formats.safetensors import SafetensorsTensor
from deploys.remote.lib import spec
from deploys.remote.lib.failure import Failure
from deploys.remote.model_dir import manifest
from tests.lab import tiny_tree
from tests.lab.tiny_tree import Shapes
from tests.unit.remote.support import Hub, listing, request, serving

FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
INDEX = "model.safetensors.index.json"


def check(folder: Path, files: dict[str, bytes], claimed: str = "AWQ") -> str:
    tiny_tree.write(folder, files)
    return checkpoint.check(folder, list(files), claimed)


def changed(files: dict[str, bytes], path: str, change: Callable[[Any], None]) -> dict[str, bytes]:
    """The files with another JSON file."""
    value = json.loads(files[path])
    change(value)
    return {**files, path: json.dumps(value).encode()}


@pytest.mark.parametrize("kind", tiny_tree.QUANTIZATIONS)
@pytest.mark.parametrize("shards", [1, 2])
def test_each_kind_is_found(tmp_path: Path, kind: str, shards: int) -> None:
    assert check(tmp_path, tiny_tree.files(kind, shards), kind) == kind


@pytest.mark.parametrize("kind", tiny_tree.QUANTIZATIONS)
def test_another_kind_than_claimed_is_refused_with_both_names(tmp_path: Path, kind: str) -> None:
    claimed = "FP8" if kind != "FP8" else "AWQ"
    with pytest.raises(Failure, match=f"the catalogue says {claimed}, and .* holds {kind}"):
        check(tmp_path, tiny_tree.files(kind), claimed)


@pytest.mark.parametrize("said", tiny_tree.QUANTIZATIONS)
@pytest.mark.parametrize("kind", ["AWQ", "GPTQ", "FP8", "BF16"])
def test_a_configuration_that_contradicts_the_tensors_is_refused(
    tmp_path: Path, kind: str, said: str
) -> None:
    if said == kind:
        return

    def change(config: dict[str, Any]) -> None:
        config.pop("quantization_config", None)
        if value := tiny_tree.QUANTIZATIONS[said]:
            config["quantization_config"] = value

    files = changed(tiny_tree.files(kind), "config.json", change)
    with pytest.raises(Failure) as failure:
        check(tmp_path, files, kind)
    assert kind in str(failure.value)
    assert said in str(failure.value) or "no configuration says that they are" in str(failure.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda files: files.pop(SECOND), f"names {SECOND}, which is not among the files"),
        (lambda files: files.update({SECOND: files[SECOND][:-1]}), "the file is not whole"),
        (lambda files: files.update({SECOND: b""}), "not a safetensors file"),
        (lambda files: files.update({SECOND: b"<html>log in</html>"}), "HTML page"),
        (lambda files: files.update({SECOND: files[FIRST]}), "and it does not"),
        (lambda files: files.update({INDEX: b"{}"}), "has no weight_map"),
        (lambda files: files.update({INDEX: b"[1]"}), "is not a JSON object"),
        (lambda files: files.update({INDEX: b"[" * 200_000}), "is not JSON"),
        (lambda files: files.update({"config.json": b"{"}), "config.json is not JSON"),
    ],
)
def test_what_is_incomplete_is_refused(
    tmp_path: Path, change: Callable[[dict[str, bytes]], None], said: str
) -> None:
    files = tiny_tree.files()
    change(files)
    with pytest.raises(Failure, match=said) as failure:
        check(tmp_path, files)
    assert "pin another revision or another repository" in str(failure.value)


def test_an_index_and_its_files_name_the_same_tensors(tmp_path: Path) -> None:
    files = tiny_tree.files()
    name = "model.embed_tokens.weight"
    less = changed(files, INDEX, lambda index: index["weight_map"].pop(name))
    with pytest.raises(Failure, match=f"does not name {name}, which the files hold"):
        check(tmp_path, less)
    more = changed(files, INDEX, lambda index: index["weight_map"].update({"lm_head": FIRST}))
    with pytest.raises(Failure, match=f"says that {FIRST} holds lm_head, and it does not"):
        check(tmp_path, more)
    out = changed(files, INDEX, lambda index: index["weight_map"].update({name: "../x"}))
    with pytest.raises(Failure, match=r"names \.\./x, which is not among the files"):
        check(tmp_path, out)


def test_a_wrong_sum_is_reported_and_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = tiny_tree.files()
    assert check(tmp_path, files) == "AWQ" and not capsys.readouterr().out
    wrong = changed(files, INDEX, lambda index: index["metadata"].update(total_size=7))
    assert check(tmp_path, wrong) == "AWQ"
    assert "says 7 bytes of tensors, the files hold" in capsys.readouterr().out


def test_without_an_index_the_numbers_and_the_folder_must_do(tmp_path: Path) -> None:
    files = tiny_tree.files()
    del files[INDEX]
    assert check(tmp_path / "a", files) == "AWQ"
    (tmp_path / "a" / "old.safetensors").write_bytes(b"")
    with pytest.raises(Failure, match=r"old\.safetensors lies in .* move it elsewhere"):
        check(tmp_path / "a", files)
    with pytest.raises(Failure, match=r"of the 2 files of model, 2 is missing"):
        check(tmp_path / "b", {path: data for path, data in files.items() if path != SECOND})
    with pytest.raises(Failure, match=f"is in {FIRST} and in {SECOND}"):
        check(tmp_path / "c", {**files, SECOND: files[FIRST]})
    with pytest.raises(Failure, match=r"there is no \.safetensors file"):
        check(tmp_path / "d", {"config.json": b"{}"})


@pytest.mark.parametrize(
    ("name", "config", "kind"),
    [
        ("quantize_config.json", {"bits": 4, "group_size": 128}, "GPTQ"),
        ("quant_config.json", {"w_bit": 4, "q_group_size": 128, "version": "GEMM"}, "AWQ"),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "NVFP4"}}, "NVFP4"),
    ],
)
def test_older_configurations_are_read_where_the_first_says_nothing(
    tmp_path: Path, name: str, config: dict[str, Any], kind: str
) -> None:
    files = changed(
        tiny_tree.files(kind), "config.json", lambda value: value.pop("quantization_config")
    )
    assert check(tmp_path, {**files, name: json.dumps(config).encode()}, kind) == kind


def shown(shapes: Shapes, config: dict[str, Any] | None) -> str:
    tensors = {
        name: SafetensorsTensor(dtype, shape, 0, 1) for name, (dtype, shape) in shapes.items()
    }
    return quantization_of({"config.json": {"quantization_config": config}}, tensors)


@pytest.mark.parametrize("kind", ["AWQ", "GPTQ"])
def test_packed_weights_have_scales_and_zero_points_that_fit(kind: str) -> None:
    config = tiny_tree.QUANTIZATIONS[kind]
    whole = tiny_tree.linear("m", kind)
    assert shown(whole, config) == kind
    for part in ("scales", "qzeros"):
        with pytest.raises(Failure, match=f"no {part}"):
            shown({name: v for name, v in whole.items() if not name.endswith(part)}, config)
        dtype, (rows, columns) = whole[f"m.{part}"]
        with pytest.raises(Failure, match="do not go together"):
            shown({**whole, f"m.{part}": (dtype, (rows + 1, columns))}, config)
    for wrong in ({"bits": 8}, {"group_size": 64}):
        with pytest.raises(Failure, match="do not go together"):
            shown(whole, {**config, **wrong})  # type: ignore[dict-item]
    with pytest.raises(Failure, match="has no bits"):
        shown(whole, {"quant_method": kind.lower(), "group_size": 128})
    one_group = {**config, "group_size": -1}  # type: ignore[dict-item]
    dtypes = {name: dtype for name, (dtype, _) in whole.items()}
    wide = {
        **whole,
        "m.scales": (dtypes["m.scales"], (1, 256)),
        "m.qzeros": (dtypes["m.qzeros"], (1, 32)),
    }
    assert shown(wide, one_group) == kind


def test_blocks_of_fp8_have_a_scale_each() -> None:
    config = tiny_tree.QUANTIZATIONS["FP8"]
    odd = tiny_tree.linear("m", "FP8", rows=576, columns=7168)
    assert odd["m.weight_scale_inv"][1] == (5, 56)
    assert shown(odd, config) == "FP8"
    with pytest.raises(
        Failure, match=r"\[576, 7168\] has scales of \[4, 56\], and needs \[5, 56\]"
    ):
        shown({**odd, "m.weight_scale_inv": ("F32", (4, 56))}, config)
    with pytest.raises(Failure, match="has no scales"):
        shown({"m.weight": odd["m.weight"]}, config)
    # One scale a matrix, or a row: no blocks to count.
    assert shown({**odd, "m.weight_scale_inv": ("F32", ())}, {"quant_method": "fp8"}) == "FP8"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, "FP8"),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, "FP8"),
        ({"quant_method": "fbgemm_fp8"}, "FP8-FBGEMM"),
        ({"quant_method": "bitsandbytes"}, "BITSANDBYTES"),
        ({"quant_method": "quark-of-tomorrow"}, "QUARK-OF-TOMORROW"),
    ],
)
def test_names_of_other_makers(config: dict[str, Any], name: str) -> None:
    tensors: Shapes = {"m.weight": ("F8_E4M3", (4, 4)), "m.weight_scale": ("F32", (1,))}
    assert shown(tensors, config) == name


@pytest.mark.parametrize(
    ("claimed", "found", "is_same"),
    [
        ("AWQ", "AWQ", True),
        ("GPTQ-Int4", "GPTQ", True),
        ("FP8-dynamic", "FP8", True),
        ("FP16", "F16", True),
        ("INT4", "W4A16", True),
        ("BF16", "F16", False),
        ("FP8", "F8", False),
        ("AWQ", "GPTQ", False),
    ],
)
def test_names_of_the_catalogue(claimed: str, found: str, is_same: bool) -> None:
    assert same(claimed, found) is is_same


_JSON = some.recursive(
    some.none() | some.booleans() | some.integers(-2, 300) | some.text(max_size=4),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(
            some.sampled_from(
                [
                    *("quant_method", "bits", "group_size", "weight_block_size", "format"),
                    *("config_groups", "weights", "num_bits", "quant_algo", "quantization"),
                ]
            ),
            inner | some.sampled_from(["awq", "gptq", "fp8", "compressed-tensors", "modelopt"]),
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(_JSON, some.sampled_from(sorted(tiny_tree.QUANTIZATIONS)), _JSON)
def test_any_configuration_gives_a_name_or_a_failure(config: Any, kind: str, other: Any) -> None:
    tensors = {
        name: SafetensorsTensor(dtype, shape, 0, 1)
        for name, (dtype, shape) in tiny_tree.linear("m", kind).items()
    }
    configs = {"config.json": {"quantization_config": config}}
    if isinstance(other, dict):
        configs |= {"quantize_config.json": other, "hf_quant_config.json": other}
    try:
        assert quantization_of(configs, tensors)
    except Failure as failure:
        assert str(failure)


def fetched(folder: Path, files: dict[str, bytes], hub: Hub, claimed: str) -> bool:
    return fetch.fetch(spec.parse(request(folder, files, hub, quantization=claimed)))


def test_the_manifest_comes_after_the_check(tmp_path: Path) -> None:
    files = tiny_tree.files()
    with serving(Hub(files)) as hub:
        with pytest.raises(Failure, match="the catalogue says FP8"):
            fetched(tmp_path, files, hub, "FP8")
        assert manifest.load(tmp_path / manifest.NAME) is None
        # Corrected, nothing is fetched again.
        sent = hub.sent
        assert fetched(tmp_path, files, hub, "AWQ")
        assert hub.sent == sent == sum(map(len, files.values()))
        assert not fetched(tmp_path, files, hub, "AWQ")
    assert manifest.load(tmp_path / manifest.NAME)


def test_a_hub_whose_own_copy_is_cut_off_never_gets_a_manifest(tmp_path: Path) -> None:
    files = tiny_tree.files()
    files[FIRST] = files[FIRST][:-1000]
    with serving(Hub(files)) as hub, pytest.raises(Failure, match="the file is not whole"):
        fetched(tmp_path, files, hub, "AWQ")
    assert {each["path"] for each in listing(files)} <= {
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")
    }
    assert not (tmp_path / manifest.NAME).exists()
