"""2 x 8 x H20 96 GB, NVSwitch, RoCE, Ubuntu 22.04: DeepSeek-R1 in 16 bits, as one."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="H20",
    gpus=8,
    services=(
        Service(
            name="deepseek-r1",
            engine="vllm",
            model="deepseek-r1-bf16",
            port=8000,
            machines=2,
            context=32_768,
        ),
    ),
)
