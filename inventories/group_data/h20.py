"""8 x H20 96 GB, NVSwitch, Ubuntu 22.04: DeepSeek-R1 in its own FP8, for a hundred people."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="H20",
    gpus=8,
    services=(
        Service(
            name="deepseek-r1",
            engine="vllm",
            model="deepseek-r1",
            port=8000,
            context=32_768,
        ),
    ),
)
