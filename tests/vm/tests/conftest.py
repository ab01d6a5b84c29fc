"""Fixtures: machines with kernels of their own, and what they are deployed from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.e2e.rack import Rack
from tests.lab.fixtures import lab_github, lab_hub
from tests.lab.github import GitHub
from tests.lab.hub import Hub
from tests.vm import prebuilt
from tests.vm.fetching import Fetching
from tests.vm.fetching import fetching as begin_fetching
from tests.vm.lab import VmLab
from tests.vm.machine import VirtualMachine

__all__ = ["lab_github", "lab_hub"]


@pytest.fixture(scope="module")
def vm_lab() -> Iterator[Callable[..., VmLab]]:
    """``vm_lab(machines=1, ...)`` is a running ``VmLab``; all end with the file of tests."""
    with ExitStack() as stack:

        def make(machines: Any = 1, **options: Any) -> VmLab:
            return stack.enter_context(VmLab(machines, **options))

        yield make


@pytest.fixture(scope="session")
def compiled(
    lab_hub: Hub, lab_github: GitHub, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[VirtualMachine, str], None]:
    """``compiled(machine, suite)``: llama.cpp for its processor is in the cache of builds."""
    done = set()

    def have(machine: VirtualMachine, suite: str) -> None:
        cpuinfo = machine.ssh("cat /proc/cpuinfo").stdout
        if suite not in done:
            folder = tmp_path_factory.mktemp("compiles")
            prebuilt.llama_cpp(suite, cpuinfo, lab_hub, lab_github, folder)
        done.add(suite)

    return have


@pytest.fixture(scope="module")
def make_rack(
    vm_lab: Callable[..., VmLab],
    lab_hub: Hub,
    lab_github: GitHub,
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., tuple[VmLab, Rack]]:
    """``make_rack(1, extra="...")`` has machines and writes their inventory."""

    def make(machines: Any = 1, extra: str = "", **options: Any) -> tuple[VmLab, Rack]:
        lab = vm_lab(machines, **options)
        hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
        return lab, Rack(lab, hub, github, tmp_path_factory.mktemp("rack"), extra)

    return make


@pytest.fixture(scope="session")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fetching]:
    """Machines that have all but their weights."""
    with begin_fetching(tmp_path_factory.mktemp("fetching")) as place:
        yield place
