"""Which files of a repository are the model that a reference means, by the listing and the index.

One repository often holds the weights several times: in every quantization of GGUF, once more as
`consolidated.safetensors`, as pickles, or in folders for other programs.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from deploys.planning.checkpoint import parsed
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.parsed import ADAPTER, ADAPTER_CONFIG, INDEX, README
from deploys.planning.checkpoint.reference import Reference
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.model import Format
from deploys.planning.weights import gguf_files

# Documents that something is decided on, and those of the parts that modules.json names.
_DOCUMENTS = (
    *("config.json", "generation_config.json", "tokenizer_config.json", "chat_template.json"),
    *("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"),
    *("hf_quant_config.json", "quantize_config.json", "quant_config.json"),
    "quant_model_description.json",
    *("preprocessor_config.json", "processor_config.json", "params.json", ADAPTER_CONFIG),
    *(parsed.TEMPLATE_FILE, README),
)
_PART = re.compile(r"\d+_[A-Za-z0-9]{1,40}/config\.json")
# Bytes that a document may have. An index has some 100 a tensor.
_LONGEST, _LONGEST_INDEX = 4 << 20, 64 << 20
# What an engine reads beside the weights.
_BESIDE = ("*.json", "*.txt", "*.model", "*.jinja", "*.py", "*.tiktoken", "LICENSE*")
# ModelScope's own description of a repository, which no engine reads.
_NOT_BESIDE = ("configuration.json",)
_SHARD = re.compile(r"(.+?)-\d{5,6}-of-\d{5,6}")
_SUFFIX = ".safetensors"
_PROJECTOR = re.compile(r"(?:.*[-._])?mmproj(?:[-._].*)?\.gguf")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The files of one model.

    + weights: sorted; of a GGUF in shards the first is the one that engines open
    + beside: what is read with them
    + projector: the GGUF that lets the model see images; None where there is none
    """

    format: Format
    weights: tuple[str, ...]
    beside: tuple[str, ...] = ()
    projector: str | None = None


def documents_of(files: Mapping[str, int], *, gguf: bool) -> list[str]:
    """Return the paths of the documents that are to be read.

    + gguf: the model is one; engines take all from its header, and a configuration beside it is of
      what it was made from
    """
    if gguf:
        return [path for path in (README,) if 0 <= files.get(path, -1) <= _LONGEST]
    return sorted(
        path
        for path, size in files.items()
        if 0 <= size <= (_LONGEST_INDEX if _is_index(path) else _LONGEST)
        and (_is_index(path) or path in _DOCUMENTS or _PART.fullmatch(path))
    )


def heads_of(reference: Reference, files: Mapping[str, int]) -> list[str]:
    """Return the files whose headers are to be read: of a GGUF, or an adapter.

    None if it is a model in safetensors. Raise Refusal if several models could be meant.
    """
    if is_adapter(files) and not reference.pattern:
        return [ADAPTER]
    shards = _gguf_of(reference, files)
    if not shards:
        return []
    gguf_files.model_file(shards)
    projector = _projector_of(files)
    return [*sorted(shards), *([projector] if projector else [])]


def is_adapter(files: Mapping[str, int]) -> bool:
    """Return whether these are the files of an adapter in safetensors, and of no model with it."""
    others = [path for path in files if _is_top_weights(path) and path != ADAPTER]
    return {ADAPTER, ADAPTER_CONFIG} <= {*files} and not ("config.json" in files and others)


def chosen(reference: Reference, files: Mapping[str, int], documents: Documents) -> Chosen:
    """Return the files of the model; raise Refusal, with what to choose from, if in doubt."""
    alone = is_adapter(files) and not reference.pattern
    if alone or documents.weights.get("general.type") == "adapter":
        raise _is_no_model(reference)
    if shards := _gguf_of(reference, files):
        _check_count(shards)
        return Chosen(format="gguf", weights=tuple(sorted(shards)), projector=_projector_of(files))
    if "config.json" not in files:
        raise _without_config(reference, files)
    sets = _sets(files, documents)
    name = _one_of(reference, sets)
    weights = tuple(sorted(sets[name]))
    if missing := [path for path in weights if path not in files]:
        raise Refusal(
            f"{reference}: its index names {_some(missing)}, which the hub does not list",
            "Choose another revision, or another repository",
        )
    index = {f"{name}{INDEX}"} if f"{name}{INDEX}" in files else set()
    beside = tuple(sorted({*_beside(files, documents), *index} - {*weights}))
    return Chosen(format="safetensors", weights=weights, beside=beside)


def _gguf_of(reference: Reference, files: Mapping[str, int]) -> Sequence[str] | None:
    """Return the files of the GGUF that is meant; None if that is none."""
    in_safetensors = "config.json" in files and any(map(_is_top_weights, files))
    found = gguf_files.models(sorted(files))
    names: dict[str, Sequence[str]] = {}
    for paths in found.values():
        # Two of one name, in shards and whole, are told apart by a path.
        stem = _stem(paths[0])
        names[paths[0] if stem in names else stem] = paths
    if not names or (in_safetensors and not reference.pattern):
        return None
    if in_safetensors and not _matching(reference.pattern or "", names):
        return None
    return names[_one_of(reference, names)]


def _projector_of(files: Mapping[str, int]) -> str | None:
    """Return the projector of the repository, of several the one in 16 bits.

    They are one in several widths, and any goes with any quantization of the model.
    """
    found = [path for path in files if _PROJECTOR.fullmatch(path.rpartition("/")[2].lower())]
    of_width = [
        path
        for width in ("f16", "bf16", "")
        for path in sorted(found)
        if re.search(rf"(?:^|[-._]){width}", path.rpartition("/")[2].lower())
    ]
    return of_width[0] if of_width else None


def _one_of(reference: Reference, sets: Mapping[str, Sequence[str]]) -> str:
    """Return the name of the set of files that is meant; raise Refusal unless that is one."""
    if not sets:
        raise Refusal(
            f"{reference} has no weights that an engine reads: neither safetensors nor GGUF",
            "Choose another repository: pickles (*.bin, *.pt) run code when they are loaded",
        )
    names = sorted(_matching(reference.pattern, sets) if reference.pattern else sets)
    if len(names) > 1 and not reference.pattern:
        # What engines of this format take by themselves, then what is no copy for another program.
        names = (
            [each for each in names if each == "model"]
            or [each for each in names if not each.startswith("consolidated")]
            or names
        )
    if len(names) == 1:
        return names[0]
    labels = _labels(sets)
    choice = sorted(_shown(labels[each]) for each in names or sets)
    several = f"{reference} may be any of {len(names)} models"
    raise Refusal(
        several if names else f"{reference} has no model of that name",
        f"Write {replace(reference, pattern=choice[0])}"
        + (f", or another of them: {_some(choice[1:], 60)}" if choice[1:] else ""),
    )


def _matching(pattern: str, sets: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names of the sets that a pattern means.

    It is the whole name or what tells it from the others, or a pattern in fnmatch's words, or else
    a word of the name, as `Q4_K_M` is of all names that end so.
    """
    wanted, labels = pattern.lower(), _labels(sets)
    whole = [
        name
        for name, paths in sets.items()
        if wanted in {name.lower(), labels[name].lower(), *(path.lower() for path in paths)}
    ]
    if whole:
        return whole
    if any(letter in wanted for letter in "*?["):
        return [
            name
            for name, paths in sets.items()
            if any(
                fnmatch.fnmatchcase(each, wanted)
                for path in paths
                for each in (path.lower(), path.lower().rpartition("/")[2])
            )
        ]
    word = re.compile(rf"(?<![a-z0-9]){re.escape(wanted)}(?![a-z0-9_])")
    return [name for name in sets if word.search(name.lower())]


def _labels(sets: Iterable[str]) -> dict[str, str]:
    """Return what tells each name from the others, such as `Q4_K_M`; of one alone all of it."""
    names = list(sets)
    bases = [name.rpartition("/")[2] for name in names]
    short = bases if len({*bases}) == len(names) else names
    letters = zip(min(short), max(short), strict=False) if len(names) > 1 else ()
    common = "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], letters))
    start = max(common.rfind(letter) for letter in "-./") + 1
    return {name: each[start:] or name for name, each in zip(names, short, strict=True)}


def _sets(files: Mapping[str, int], documents: Documents) -> dict[str, list[str]]:
    """Return the sets of safetensors at the top, by the name of their index, shards or file."""
    sets: dict[str, list[str]] = {}
    for path, index in documents.json.items():
        if _is_index(path):
            sets[path.removesuffix(INDEX)] = sorted({*index["weight_map"].values()})
    indexed = {path for paths in sets.values() for path in paths}
    others: dict[str, list[str]] = {}
    for path in sorted(files):
        # Engines leave out what an index does not name.
        if _is_top_weights(path) and path not in indexed and _stem(path) not in sets:
            others.setdefault(_stem(path), []).append(path)
    return {**sets, **others}


def _beside(files: Mapping[str, int], documents: Documents) -> set[str]:
    """Return what is read with the weights: at the top, and in folders that modules.json names."""
    modules = documents.json.get("modules.json")
    parts = modules if isinstance(modules, list) else []
    named = [part.get("path") for part in parts if isinstance(part, dict)]
    folders = {each for each in named if isinstance(each, str) and each}
    return {
        path
        for path in files
        if (
            "/" not in path
            and not path.endswith(INDEX)
            and path not in _NOT_BESIDE
            and any(fnmatch.fnmatchcase(path, pattern) for pattern in _BESIDE)
        )
        or (path.rpartition("/")[0] in folders and path.endswith((".json", _SUFFIX)))
    }


def _check_count(shards: Sequence[str]) -> None:
    """Raise Refusal if a GGUF is in more shards than there are."""
    match = gguf_files.SHARD.fullmatch(shards[0])
    if match and int(match["count"]) != len(shards):
        raise Refusal(
            f"of the {int(match['count'])} shards of {match['prefix']}, {len(shards)} are listed",
            "Choose another revision, or another repository",
        )


def _without_config(reference: Reference, files: Mapping[str, int]) -> Refusal:
    if ADAPTER_CONFIG in files:
        return _is_no_model(reference)
    return Refusal(
        f"{reference} has no config.json, so its shape cannot be read",
        "Choose a repository in the format of transformers or a GGUF, or give the service a"
        " Model(...) with its network",
    )


def _is_no_model(reference: Reference) -> Refusal:
    return Refusal(
        f"{reference} is an adapter, and no model by itself",
        "Name the model that it adapts, and this among adapters of the service",
    )


def _is_index(path: str) -> bool:
    return path.endswith(INDEX) and "/" not in path


def _is_top_weights(path: str) -> bool:
    return path.endswith(_SUFFIX) and "/" not in path


def _stem(path: str) -> str:
    """Return the name of a set by one of its files: without the number of a shard, and ending."""
    stem = re.sub(r"\.(?:gguf|safetensors)$", "", path, flags=re.IGNORECASE)
    shard = _SHARD.fullmatch(stem)
    return shard[1] if shard else stem


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _some(names: Sequence[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if names[most:] else ""
    return ", ".join(map(_shown, names[:most])) + more
