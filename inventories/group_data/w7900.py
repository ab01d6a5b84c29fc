"""2 x Radeon PRO W7900 48 GB, Debian 13: DeepSeek-R1's 70B distill in Q4_K_M, through Vulkan."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    gpu="Radeon PRO W7900",
    gpus=2,
    services=(
        Service(
            name="r1-70b",
            engine="llama.cpp",
            model="deepseek-r1-distill-llama-70b-q4_k_m",
            port=8080,
        ),
    ),
)
