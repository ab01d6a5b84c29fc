"""8 x MI300X 192 GB, Infinity Fabric, Ubuntu 22.04: DeepSeek-R1 in its own FP8."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="MI300X",
    gpus=8,
    services=(
        Service(
            name="deepseek-r1",
            engine="sglang",
            model="deepseek-r1",
            port=8000,
            context=65_536,
        ),
    ),
)
