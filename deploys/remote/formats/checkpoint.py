"""Check that a folder of safetensors is a complete model and quantized as the catalogue says.

Digests prove that the files are those of the hub; this proves, by index and headers, that those of
the hub are a model. Only headers are read, which takes a few milliseconds for a hundred files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..lib.failure import Failure
from . import quantization, quantization_names, safetensors
from .safetensors import SafetensorsHeader

SUFFIX = ".safetensors"
INDEX = ".safetensors.index.json"
# What says how weights are quantized.
CONFIGS = (
    *("config.json", "quantize_config.json", "quant_config.json", "hf_quant_config.json"),
    "quant_model_description.json",
)
# Bytes; an index has some 100 a tensor.
LONGEST = 64 << 20


def check(directory: Path, paths: Sequence[str], claimed: str) -> str:
    """Return the quantization found in the files `paths` of `directory`.

    Raise Failure if the files are not a model, or not quantized as `claimed`, which is what the
    catalogue says.
    """
    weights = [path for path in paths if path.endswith(SUFFIX)]
    if not weights:
        raise Failure(f"there is no {SUFFIX} file in {directory}: check the model's file patterns")
    _check_no_extra_files(directory, paths, weights)
    try:
        headers = {path: safetensors.read(directory / path) for path in weights}
        for folder in sorted({path.rpartition("/")[0] for path in weights}):
            _check_folder(directory, folder, paths, headers)
        # Some repositories hold the weights once more in a folder, as their maker had them.
        main = [path for path in weights if "/" not in path] or weights
        tensors = {name: found for path in main for name, found in headers[path].tensors.items()}
        configs = {name: _json(directory / name) for name in CONFIGS if name in paths}
        found = quantization.quantization_of(configs, tensors)
    except Failure as failure:
        raise Failure(
            f"{failure}; the files are those of the hub, byte by byte: pin another revision or"
            " another repository"
        ) from failure
    if not quantization_names.same(claimed, found):
        raise Failure(
            f"the catalogue says {claimed}, and {directory} holds {found}: correct the model's"
            " entry, or choose another repository"
        )
    return found


def _check_no_extra_files(directory: Path, paths: Sequence[str], weights: Sequence[str]) -> None:
    """Raise Failure if the folder has safetensors files that are not part of the model.

    Engines load all such files of a folder that has no index.
    """
    if any(path.endswith(INDEX) for path in paths):
        return
    found = {path.name for path in directory.glob(f"*{SUFFIX}")}
    if others := sorted(found - set(weights)):
        raise Failure(
            f"{_some(others)} lies in {directory} and is not part of the model: move it elsewhere"
        )


def _check_folder(
    directory: Path, folder: str, paths: Sequence[str], headers: dict[str, SafetensorsHeader]
) -> None:
    """Raise Failure unless all files of one folder are there, by their index or their numbers."""
    prefix = f"{folder}/" if folder else ""
    indexes = [path for path in paths if path.rpartition("/")[0] == folder and path.endswith(INDEX)]
    for index in indexes:
        value = _json(directory / index)
        mapped = value.get("weight_map")
        if not isinstance(mapped, dict) or not all(isinstance(v, str) for v in mapped.values()):
            raise Failure(f"{index} has no weight_map")
        files = {prefix + file for file in mapped.values()}
        if missing := sorted(files - headers.keys()):
            raise Failure(f"{index} names {_some(missing)}, which is not among the files")
        for name, file in mapped.items():
            if name not in headers[prefix + file].tensors:
                raise Failure(f"{index} says that {file} holds {name}, and it does not")
        unnamed = [
            name
            for file in sorted(files)
            for name in headers[file].tensors
            if prefix + mapped.get(name, "") != file
        ]
        if unnamed:
            raise Failure(f"{index} does not name {_some(unnamed)}, which the files hold")
        _warn_total_size(index, value, sum(headers[file].data_size for file in files))
    if not indexes:
        ours = sorted(path for path in headers if path.rpartition("/")[0] == folder)
        _check_numbers(ours)
        known: dict[str, str] = {}
        for path in ours:
            for name in headers[path].tensors:
                if name in known:
                    raise Failure(f"{name} is in {known[name]} and in {path}")
                known[name] = path


def _check_numbers(paths: Iterable[str]) -> None:
    sets: dict[tuple[str, int], set[int]] = {}
    for path in paths:
        if match := re.fullmatch(r"(.+)-(\d{5,6})-of-(\d{5,6})\.safetensors", path):
            sets.setdefault((match[1], int(match[3])), set()).add(int(match[2]))
    for (prefix, count), numbers in sets.items():
        if missing := sorted(set(range(1, count + 1)) - numbers):
            raise Failure(f"of the {count} files of {prefix}, {_some(missing)} is missing")


def _warn_total_size(index: str, value: dict[str, Any], size: int) -> None:
    """Print a note if the index gives a wrong total size.

    It is no failure: no engine reads the size, and some makers get it wrong.
    """
    metadata = value.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    if total is not None and total != size:
        print(f"{index} says {total} bytes of tensors, the files hold {size}", flush=True)


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST + 1)
        if len(data) > LONGEST:
            raise Failure(f"{path.name} is longer than {LONGEST} bytes")
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise Failure(f"{path.name} is not a JSON object")
    return value


def _some(names: Sequence[object]) -> str:
    return ", ".join(map(str, names[:3])) + (f" and {len(names) - 3} more" if names[3:] else "")
