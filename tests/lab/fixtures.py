"""pytest fixtures: lab machines and stand-ins. A conftest imports the names that it offers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.lab import tiny_model
from tests.lab.github import GitHub
from tests.lab.hub import Hub
from tests.lab.lab import Lab
from tests.lab.nvidia_repository import NvidiaRepository
from tests.lab.requirements import missing


@pytest.fixture(scope="session")
def lab_factory() -> Iterator[Callable[..., Lab]]:
    """``lab_factory(machines=2, ...)`` is a running ``Lab``; all end with the session."""
    if reasons := missing():
        pytest.skip(f"lab tier not run: {'; '.join(reasons)}")
    with ExitStack() as stack:

        def make(machines: int = 1, **options: Any) -> Lab:
            return stack.enter_context(Lab(machines, **options))

        yield make


@pytest.fixture(scope="session")
def lab_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub with the tiny models; ``lab_hub.listen(lab.host)`` is its URL for a lab's machines.

    Tests that set faults end with ``lab_hub.faults.clear()``.
    """
    root = tmp_path_factory.mktemp("hub")
    tiny_model.publish(root)
    with Hub(root) as hub:
        yield hub


@pytest.fixture(scope="session")
def lab_github() -> Iterator[GitHub]:
    """GitHub's downloads; llama.cpp's source archive is made on first request."""
    with GitHub() as github:
        yield github


@pytest.fixture(scope="session")
def lab_nvidia() -> Iterator[NvidiaRepository]:
    """NVIDIA's package repository; ``lab_nvidia.listen(lab.host)`` is its URL for a lab."""
    with NvidiaRepository() as repository:
        yield repository
