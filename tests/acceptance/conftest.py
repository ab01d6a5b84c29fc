"""The machine of this tier, and what it is deployed from."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.acceptance.machine import AcceptedMachine, deployed
from tests.lab import Lab
from tests.lab.fixtures import lab_factory, lab_hub, lab_nvidia
from tests.lab.hub import Hub
from tests.lab.nvidia_repository import NvidiaRepository

__all__ = ["lab_factory", "lab_hub", "lab_nvidia"]


@pytest.fixture(scope="session")
def accepted(
    lab_factory: Callable[..., Lab],
    lab_hub: Hub,
    lab_nvidia: NvidiaRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> AcceptedMachine:
    lab = lab_factory(1, name="accepted")
    return deployed(lab, lab_hub.listen(lab.host), lab_nvidia, tmp_path_factory.mktemp("accepted"))
