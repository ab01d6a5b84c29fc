"""Disposable real machines over SSH, and stand-ins for what cannot be reached from a test."""

from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.process import LabError
from tests.lab.requirements import missing
from tests.lab.tree import Layer

__all__ = ["Lab", "LabError", "Layer", "Machine", "missing"]
