"""4 x RTX 6000 Ada 48 GB, PCIe, Ubuntu 22.04: the 70B distill in FP8 on a workstation."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="RTX 6000 Ada",
    gpus=4,
    services=(
        Service(
            name="deepseek-r1-70b",
            engine="vllm",
            model="deepseek-r1-distill-llama-70b-fp8",
            port=8000,
            context=32_768,
        ),
    ),
)
