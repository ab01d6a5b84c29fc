"""8 x RTX 5090 32 GB, PCIe, Ubuntu 24.04: the 32B distill in FP8 four times, two cards each."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="RTX 5090",
    gpus=8,
    services=(
        Service(
            name="deepseek-r1-32b",
            engine="vllm",
            model="deepseek-r1-distill-qwen-32b-fp8",
            port=8000,
            context=16_384,
        ),
    ),
)
