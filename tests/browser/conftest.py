"""Fixtures: machines of the lab, and what they are deployed from."""

from tests.lab.fixtures import lab_factory, lab_github, lab_hub

__all__ = ["lab_factory", "lab_github", "lab_hub"]
