"""Fixtures of a vendor's line, and of the lab."""

from __future__ import annotations

from tests.e2e.vendor import line
from tests.lab.fixtures import lab_factory, lab_github, lab_hub, lab_nvidia

__all__ = ["lab_factory", "lab_github", "lab_hub", "lab_nvidia", "line"]
