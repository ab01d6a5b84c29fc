"""No GPU, 32 GB of memory, Debian 12: the 7B distill to try things out."""

from deploys.planning.inputs.profile import HostProfile, Service

profile = HostProfile(
    services=(
        Service(
            name="deepseek-r1-7b",
            engine="llama.cpp",
            model="deepseek-r1-distill-qwen-7b-q4_k_m",
            port=8080,
            context=8192,
        ),
    ),
)
