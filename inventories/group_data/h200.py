"""8 x H200 141 GB, NVSwitch, Ubuntu 24.04: DeepSeek-R1 in its own FP8 with long contexts."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="H200",
    gpus=8,
    services=(
        Service(
            name="deepseek-r1",
            engine="sglang",
            model="deepseek-r1",
            port=8000,
            context=131_072,
        ),
    ),
)
