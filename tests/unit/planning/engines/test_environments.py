"""Which environment an engine gets on which machine, and that its pins are those of the table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.control import locks as lock_files
from deploys.planning.engines.environments import environment, foreign_packages
from deploys.planning.hardware.gpus import named
from deploys.planning.hardware.software_stacks import STACKS, SoftwareStack, stack_of
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import CN, GLOBAL, Site
from tests.plans.simulated import MACHINES
from tests.unit.planning.plan_examples import MACHINE

PINS = lock_files.read(Site().locks)
HOPPER, AMD, CPU = stack_of(named("H800")), stack_of(named("MI300X")), stack_of(None)
UBUNTU_24 = Machine.from_json(MACHINES["h200"])
UBUNTU_22 = Machine.from_json(MACHINES["h800"])
LOCKED = [(stack, engine) for stack in STACKS for engine in stack.locks]


@pytest.mark.parametrize(
    ("stack", "engine"), LOCKED, ids=[f"{stack.name} {engine}" for stack, engine in LOCKED]
)
def test_versions_of_the_table_are_those_of_the_locks(stack: SoftwareStack, engine: str) -> None:
    made = environment(engine, stack, UBUNTU_24, Site(), PINS)
    assert made.version == stack.engines[engine]
    assert PINS.environments[made.lock].versions["torch"] == stack.torch[engine]
    assert made.directory.endswith(f"/{engine}/{made.version}-{made.digest}")


def test_every_engine_with_a_version_of_torch_has_a_lock_where_it_is_confirmed() -> None:
    for stack in STACKS:
        assert set(stack.locks) <= set(stack.torch)
        if stack.confirmed:
            assert set(stack.torch) == set(stack.locks)


def test_a_machine_with_the_right_python_lends_it_with_its_headers() -> None:
    made = environment("vllm", HOPPER, UBUNTU_24, Site(), PINS)
    assert made.python == "3.12"
    assert {"g++", "python3-dev"} <= set(made.packages)


def test_a_machine_with_another_python_has_one_fetched() -> None:
    made = environment("vllm", HOPPER, UBUNTU_22, Site(), PINS)
    assert made.python == "3.12" and "python3-dev" not in made.packages
    closed = Site(mirrors=replace(GLOBAL, python_builds=None))
    with pytest.raises(Refusal, match="no way to python_builds"):
        environment("vllm", HOPPER, UBUNTU_22, closed, PINS)
    # Who has it needs no way there.
    assert environment("vllm", HOPPER, UBUNTU_24, closed, PINS) == environment(
        "vllm", HOPPER, UBUNTU_24, Site(), PINS
    )


def test_without_cards_pytorch_comes_from_a_page_of_its_own() -> None:
    debian = replace(MACHINE, python="3.11.2")
    made = environment("vllm", CPU, debian, Site(mirrors=CN), PINS)
    assert made.python == "3.11" and {"g++", "libnuma1"} <= set(made.packages)
    assert CN.pytorch is not None and made.wheels == CN.pytorch
    with pytest.raises(Refusal, match="no way to pytorch"):
        environment("vllm", CPU, debian, Site(mirrors=replace(CN, pytorch=None)), PINS)
    folder = Site(mirrors=replace(CN, pytorch="/srv/wheels"))
    assert environment("vllm", CPU, debian, folder, PINS).wheels == "/srv/wheels/"


@pytest.mark.parametrize(
    ("stack", "lock", "found"),
    [
        (AMD, "vllm-cuda13", "cuda-bindings 13"),
        (stack_of(named("Ascend 910B")), "vllm-cuda13", "cuda-bindings 13"),
        (replace(CPU, torch={}), "vllm-cuda13", "cuda-bindings 13"),
        # Without a word of CUDA, and for a processor all the same.
        (AMD, "vllm-cpu", r"1 packages for NVIDIA's cards in it: torch 2.13.0\+cpu"),
    ],
)
def test_a_lock_with_packages_for_other_cards_is_refused(
    stack: SoftwareStack, lock: str, found: str
) -> None:
    wrong = replace(stack, locks={"vllm": lock})
    with pytest.raises(Refusal, match=f"The lock {lock} is for .*{found}") as refusal:
        environment("vllm", wrong, UBUNTU_24, Site(), PINS)
    assert "vendor's index" in refusal.value.hint


def test_no_lock_has_packages_for_other_cards() -> None:
    for stack in (*STACKS, CPU):
        for lock in stack.locks.values():
            assert foreign_packages(PINS.environments[lock].versions, stack) == []


@pytest.mark.parametrize(
    ("engine", "stack", "machine", "reason"),
    [
        ("vllm", AMD, UBUNTU_22, "vllm has no lock for ROCm 7.2.3 yet"),
        ("sglang", CPU, UBUNTU_22, "sglang has no lock for no GPU yet"),
        ("vllm", CPU, replace(MACHINE, architecture="aarch64"), "x86_64, and .* is aarch64"),
    ],
)
def test_what_has_no_lock_is_refused_with_a_hint(
    engine: str, stack: SoftwareStack, machine: Machine, reason: str
) -> None:
    with pytest.raises(Refusal, match=reason) as refusal:
        environment(engine, stack, machine, Site(), PINS)
    assert refusal.value.hint


def test_another_text_of_a_lock_is_another_folder() -> None:
    lock = PINS.environments["vllm-cuda13"]
    other = replace(
        PINS, environments={**PINS.environments, "vllm-cuda13": replace(lock, digest="0" * 12)}
    )
    before = environment("vllm", HOPPER, UBUNTU_24, Site(), PINS)
    after = environment("vllm", HOPPER, UBUNTU_24, Site(), other)
    assert before.directory != after.directory


def test_kernels_are_compiled_with_the_toolkit_of_the_lock() -> None:
    assert environment("vllm", HOPPER, UBUNTU_24, Site(), PINS).cuda
    assert environment("sglang", HOPPER, UBUNTU_24, Site(), PINS).cuda
    assert not environment("ktransformers", HOPPER, UBUNTU_24, Site(), PINS).cuda
    assert not environment("vllm", CPU, replace(MACHINE, python="3.11.2"), Site(), PINS).cuda


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_kernels_are_compiled_for_the_cards_before_a_start(engine: str) -> None:
    made = environment(engine, HOPPER, UBUNTU_24, Site(), PINS, named("H200"))
    kernels = made.kernels
    assert kernels and (kernels.compute, kernels.directory) == ("9.0", made.directory)
    assert kernels.packed.startswith(f"{engine}-kernels-9.0-")
    # Others on other cards, with another compiler, and for another version; the same on the next.
    ada = environment(engine, HOPPER, UBUNTU_24, Site(), PINS, named("L40S"))
    older = environment(engine, HOPPER, UBUNTU_22, Site(), PINS, named("H200"))
    again = environment(engine, HOPPER, UBUNTU_24, Site(), PINS, named("H100"))
    assert ada.kernels and older.kernels and again.kernels
    assert len({kernels.digest, ada.kernels.digest, older.kernels.digest}) == 3
    assert again.kernels == kernels
    other = replace(kernels, directory=f"{kernels.directory}0")
    assert other.digest != kernels.digest


def test_without_cards_and_without_flashinfer_there_are_no_kernels() -> None:
    debian = replace(MACHINE, python="3.11.2")
    assert environment("vllm", CPU, debian, Site(), PINS).kernels is None
    made = environment("ktransformers", HOPPER, UBUNTU_24, Site(), PINS, named("H200"))
    assert made.kernels is None


@pytest.mark.parametrize("lock", ["vllm-cuda13", "sglang-cuda13"])
def test_the_compiler_of_a_lock_goes_with_its_headers(lock: str) -> None:
    versions = PINS.environments[lock].versions
    parts = ("nvcc", "crt", "runtime", "nvrtc")
    releases = {versions[f"nvidia-cuda-{part}"].rsplit(".", 1)[0] for part in parts}
    assert releases == {versions["nvidia-nvvm"].rsplit(".", 1)[0]} == {"13.0"}
    # Before CUDA 12.8 it brings modules of its own in the place of those of cuda-bindings.
    assert versions["cuda-python"] == versions["cuda-bindings"]
