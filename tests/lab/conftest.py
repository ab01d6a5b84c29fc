"""Fixtures for the tests of the lab itself."""

from tests.lab.fixtures import lab_factory, lab_github, lab_hub, lab_nvidia

__all__ = ["lab_factory", "lab_github", "lab_hub", "lab_nvidia"]
