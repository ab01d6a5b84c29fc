"""2 x 8 x H800 80 GB, NVSwitch, RoCE, Ubuntu 22.04: DeepSeek-R1 in its own FP8, as one."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="H800",
    gpus=8,
    services=(
        Service(
            name="deepseek-r1",
            engine="vllm",
            model="deepseek-r1",
            port=8000,
            machines=2,
            context=65_536,
        ),
    ),
)
