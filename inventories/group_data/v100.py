"""2 x V100 32 GB, Ubuntu 22.04: the 14B distill on llama.cpp, which still builds for Volta."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="V100",
    gpus=2,
    services=(
        Service(
            name="deepseek-r1-14b",
            engine="llama.cpp",
            model="deepseek-r1-distill-qwen-14b-q4_k_m",
            port=8080,
            context=16_384,
            parallel=8,
        ),
    ),
)
