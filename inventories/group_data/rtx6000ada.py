"""4 x RTX 6000 Ada 48 GB, PCIe, Ubuntu 22.04: Qwen3.8-27B in FP8 on each card of a workstation."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="RTX 6000 Ada",
    gpus=4,
    services=(
        Service(
            name="qwen3.8-27b",
            engine="vllm",
            model="qwen3.8-27b-fp8",
            port=8000,
            context=32_768,
        ),
    ),
)
