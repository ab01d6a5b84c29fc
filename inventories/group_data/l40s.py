"""8 x L40S 48 GB, PCIe, Ubuntu 22.04: Qwen3.8-27B in FP8 on each card."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="L40S",
    gpus=8,
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
