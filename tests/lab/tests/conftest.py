"""Fixtures for the tests of the lab itself."""

import pytest

from tests.lab.fixtures import lab_factory, lab_github, lab_hub, lab_nvidia

__all__ = ["lab_factory", "lab_github", "lab_hub", "lab_nvidia"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--compile-driver", action="store_true", help="compile Debian's NVIDIA modules, for minutes"
    )
