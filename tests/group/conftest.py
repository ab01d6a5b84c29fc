"""Fixtures of the tier of groups."""

from __future__ import annotations

from tests.lab.fixtures import lab_factory, lab_github, lab_hub

__all__ = ["lab_factory", "lab_github", "lab_hub"]
