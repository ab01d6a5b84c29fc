"""8 x Ascend 910B 64 GB, HCCS, Ubuntu 22.04 on aarch64: the 70B distill twice, four chips each."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="Ascend 910B",
    gpus=8,
    services=(
        Service(
            name="deepseek-r1-70b",
            engine="vllm",
            model="deepseek-r1-distill-llama-70b",
            port=8000,
            context=32_768,
        ),
    ),
)
