"""8 x RTX 4090 24 GB, PCIe, Ubuntu 22.04: Qwen3.6-27B in AWQ four times, two cards each."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="RTX 4090",
    gpus=8,
    services=(
        Service(
            name="qwen3.6-27b",
            engine="vllm",
            model="qwen3.6-27b-awq",
            port=8000,
            context=32_768,
        ),
    ),
)
