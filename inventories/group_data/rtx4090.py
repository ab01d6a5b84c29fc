"""8 x RTX 4090 24 GB, PCIe, Ubuntu 22.04: the 32B distill four times, two cards each."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="RTX 4090",
    gpus=8,
    services=(
        Service(
            name="deepseek-r1-32b",
            engine="vllm",
            model="deepseek-r1-distill-qwen-32b-awq",
            port=8000,
            context=16_384,
        ),
    ),
)
