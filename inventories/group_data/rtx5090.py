"""8 x RTX 5090 32 GB, PCIe, Ubuntu 24.04: Qwen3.8-27B in FP8 four times, two cards each."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="RTX 5090",
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
