"""Programs installed from release archives: which archive a machine can run."""

from __future__ import annotations

from deploys.planning.engines.software import Release
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.refusal import Refusal


def ollama(machine: Machine, gpu: Accelerator | None, archive: ArtifactLock) -> Release:
    """Return the release of Ollama, one archive with libraries for the CPU and CUDA 12 and 13."""
    if machine.architecture != "x86_64":
        raise Refusal(
            f"Ollama's archive for {machine.architecture} is not pinned",
            "Serve the model with llama.cpp, which is compiled for this machine",
        )
    if gpu is not None and gpu.vendor != "nvidia":
        raise Refusal(
            f"Ollama's archive for {gpu.name} is another one, and is not pinned",
            "Serve the model with an engine that this software stack has for it, or on an NVIDIA"
            " machine",
        )
    return Release(name="ollama", version=archive.version, archive=archive)
