"""2 x A100 80 GB PCIe, Ubuntu 22.04: Qwen3.8-27B for a department."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="A100 PCIe",
    gpus=2,
    services=(
        Service(
            name="qwen3.8-27b",
            engine="vllm",
            model="qwen3.8-27b",
            port=8000,
            context=32_768,
        ),
    ),
)
