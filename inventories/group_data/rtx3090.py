"""2 x RTX 3090 24 GB with an NVLink bridge, Ubuntu 22.04: Qwen3.6-27B in AWQ for a group."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="RTX 3090",
    gpus=2,
    services=(
        Service(
            name="qwen3.6-27b",
            engine="vllm",
            model="qwen3.6-27b-awq",
            port=8000,
            context=32_768,
        ),
    ),
)
