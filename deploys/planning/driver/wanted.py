"""The driver version that a profile names, against what its cards and engines need."""

from __future__ import annotations

import re

from deploys.planning.hardware.software_stacks import SoftwareStack, parsed
from deploys.planning.inputs.refusal import Refusal


def check_driver(version: str, stack: SoftwareStack) -> None:
    """Raise Refusal if this software stack cannot use the driver version that a profile names."""
    if stack.vendor != "nvidia":
        raise Refusal(
            f"driver={version!r} is set, but a version can be chosen for NVIDIA alone",
            f"Leave driver out of the profile, and get what goes with {stack.platform}",
        )
    if not re.fullmatch(r"\d{3}(\.\d{2,3}){1,2}", version):
        raise Refusal(
            f"driver={version!r} is not a driver version",
            f"Write one such as {stack.driver!r}, or leave it out",
        )
    if stack.minimum and parsed(version) < parsed(stack.minimum):
        raise Refusal(
            f"Driver {version} is older than {stack.minimum}, which {stack.platform} needs",
            f"Ask for {stack.minimum} or newer, or leave driver out and get {stack.driver}",
        )
    if stack.last_branch and parsed(version)[0] > stack.last_branch:
        raise Refusal(
            f"Driver {version} does not drive these cards; branch {stack.last_branch} was the last"
            " that does",
            f"Leave driver out of the profile and get {stack.driver}",
        )
