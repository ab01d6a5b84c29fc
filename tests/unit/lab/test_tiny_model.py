"""The tiny model is a whole GGUF model, and its shards are what llama-gguf-split would make."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFValueType

from tests.lab import tiny_model
from tests.lab.tiny_model import TinyModel

SPLIT_KEYS = {
    "split.no": GGUFValueType.UINT16,
    "split.count": GGUFValueType.UINT16,
    "split.tensors.count": GGUFValueType.INT32,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hub")
    assert tiny_model.publish(root) == "modelrack-lab/tiny-qwen2-gguf"
    return root / "modelrack-lab"


def _shards(root: Path, variant: str = "F16") -> list[Path]:
    return sorted((root / "tiny-qwen2-gguf").glob(f"*{variant}*.gguf"))


def _keys(reader: GGUFReader) -> dict[str, object]:
    return {
        name: field.contents()
        for name, field in reader.fields.items()
        if not name.startswith("GGUF.")
    }


def test_names_and_numbers_of_the_shards(root: Path) -> None:
    names = [path.name for path in _shards(root)]
    assert names == [f"tiny-qwen2-F16-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    readers = [GGUFReader(path) for path in _shards(root)]
    total = sum(len(reader.tensors) for reader in readers)
    for number, reader in enumerate(readers):
        for name, kind in SPLIT_KEYS.items():
            assert reader.fields[name].types == [kind]
        keys = _keys(reader)
        assert keys["split.no"] == number
        assert keys["split.count"] == 3
        assert keys["split.tensors.count"] == total


def test_model_keys_are_in_the_first_shard_only(root: Path) -> None:
    whole = _keys(GGUFReader(root / "tiny-qwen2-whole-gguf/tiny-qwen2-F16.gguf"))
    first, *others = [_keys(GGUFReader(path)) for path in _shards(root)]
    assert {name: first[name] for name in whole} == whole
    assert set(first) - set(whole) == set(SPLIT_KEYS)
    assert all(set(other) == set(SPLIT_KEYS) for other in others)


def test_shards_hold_the_tensors_of_the_whole_file_in_order(root: Path) -> None:
    def content(reader: GGUFReader) -> list[tuple[str, bytes]]:
        return [(tensor.name, tensor.data.tobytes()) for tensor in reader.tensors]

    whole = content(GGUFReader(root / "tiny-qwen2-whole-gguf/tiny-qwen2-F16.gguf"))
    parts = [content(GGUFReader(path)) for path in _shards(root)]
    assert [tensor for part in parts for tensor in part] == whole
    # By number of tensors: all shards but the last are equally full.
    assert len({len(part) for part in parts[:-1]}) == 1 and len(parts[-1]) <= len(parts[0])


def test_tensor_offsets_are_contiguous_and_padded(root: Path) -> None:
    for path in [*_shards(root), *_shards(root, "Q8_0")]:
        reader = GGUFReader(path)
        offset = reader.data_offset
        for tensor in reader.tensors:
            assert tensor.data_offset == offset
            offset += -(-int(tensor.n_bytes) // 32) * 32
        assert offset == path.stat().st_size


def test_the_same_seed_gives_the_same_bytes(root: Path, tmp_path: Path) -> None:
    again = TinyModel().write_split(tmp_path, "tiny-qwen2-F16", "F16", 3)
    assert [path.read_bytes() for path in again] == [p.read_bytes() for p in _shards(root)]
    other = TinyModel(seed=2).write_split(tmp_path / "other", "tiny-qwen2-F16", "F16", 3)
    assert other[0].read_bytes() != again[0].read_bytes()


def test_size_and_architecture_can_be_chosen(tmp_path: Path) -> None:
    path = TinyModel("llama", width=128, layers=1).write(tmp_path / "model.gguf")
    reader = GGUFReader(path)
    assert reader.fields["llama.embedding_length"].contents() == 128
    assert not any("bias" in tensor.name for tensor in reader.tensors)


def test_an_answer_that_cannot_be_chained_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        _ = TinyModel(answer="to be or not to be not").words
