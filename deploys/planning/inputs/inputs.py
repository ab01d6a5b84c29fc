"""Everything that decisions about one machine read, as one object."""

from __future__ import annotations

from dataclasses import dataclass

from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.hardware.software_stacks import SoftwareStack
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.site import Site


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is wanted of a machine, what is there, what is pinned, and what goes together.

    + gpu: the accelerator that the profile names; None for CPU only
    + stack: versions that go together on such machines
    """

    profile: HostProfile
    site: Site
    machine: Machine
    locks: Locks
    gpu: Accelerator | None
    stack: SoftwareStack
