"""2 x RTX 3090 24 GB with an NVLink bridge, Ubuntu 22.04: the 32B distill for a working group."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="RTX 3090",
    gpus=2,
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
