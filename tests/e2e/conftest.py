"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.e2e.rack import Rack
from tests.lab import Lab
from tests.lab.fixtures import lab_factory, lab_github, lab_hub, lab_nvidia
from tests.lab.github import GitHub
from tests.lab.hub import Hub

__all__ = ["lab_factory", "lab_github", "lab_hub", "lab_nvidia"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-operation",
        action="store_true",
        help="kill after each operation, and each process of an engine, not a sample",
    )
    # Drawn here, once, whether one process runs the tests or several do.
    parser.addoption(
        "--kill-seed",
        type=int,
        default=random.randrange(1_000_000),
        help="which sample of operations is killed after",
    )


# These take minutes. They come first, so that at the end nobody waits for one of them alone.
_LONGEST = (
    "test_versions.py",
    "test_driver.py",
    "test_gateway.py",
    "test_vllm.py",
    "test_health.py",
    "test_killed.py",
    "test_chat.py",
    "test_disturbed.py",
    "test_peers.py",
    "test_firewall.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


class _ByStory(LoadFileScheduling):
    """A file is one story, told by one process, and on another system it is another story."""

    def _split_scope(self, nodeid: str) -> str:
        system = re.search(r"\[(bookworm|trixie)\]$", nodeid)
        return f"{super()._split_scope(nodeid)}{system[0] if system else ''}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByStory:
    return _ByStory(config, log)


def pytest_report_header(config: pytest.Config) -> str:
    return f"killed after a sample of operations: --kill-seed {config.getoption('--kill-seed')}"


@pytest.fixture
def make_rack(
    lab_hub: Hub, lab_github: GitHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Rack]]:
    """`make_rack(2, extra="...")` boots machines and writes their inventory."""
    labs: list[Lab] = []

    def make(machines: int = 1, extra: str = "", **options: Any) -> Rack:
        lab = Lab(machines, **options)
        labs.append(lab)
        lab.up()
        folder: Path = tmp_path_factory.mktemp("rack")
        hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
        return Rack(lab, hub, github, folder, extra)

    yield make
    lab_hub.faults.clear()
    lab_github.faults.clear()
    for lab in labs:
        lab.down()
