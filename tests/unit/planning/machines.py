"""A machine to plan for, as facts would report it, with what a test needs set."""

from __future__ import annotations

from typing import Any

from deploys.planning.inputs.machine import Machine


def machine(**settings: Any) -> Machine:
    """A large server without GPUs."""
    usual: dict[str, Any] = {
        "hostname": "lab-01",
        "os": "ubuntu",
        "os_version": "22.04",
        "architecture": "x86_64",
        "kernel": "5.15.0-161-generic",
        "cpu": "a processor",
        "isa": "x86-64-v4",
        "cores": 64,
        "numa_nodes": 2,
        "memory": 512 << 30,
        "disks": (),
        "gpus": (),
        "ports": {},
        "systemd": True,
        "python": "3.10.12",
    }
    return Machine(**{**usual, **settings})
