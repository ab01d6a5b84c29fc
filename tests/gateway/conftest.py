"""Fixtures of the gateway's own tier."""

from __future__ import annotations

from tests.lab.fixtures import lab_factory, lab_hub

__all__ = ["lab_factory", "lab_hub"]
