"""8 x H800 80 GB, NVSwitch, Ubuntu 22.04: DeepSeek-R1 for a hundred people."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="H800",
    gpus=8,
    services=(
        Service(
            name="deepseek-r1",
            engine="vllm",
            model="deepseek-r1-awq",
            port=8000,
            context=65_536,
        ),
    ),
)
