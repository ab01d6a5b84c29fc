"""Deploy everything that a machine of its host class needs, in order.

pyinfra inventories/h800.py deploys/full.py --dry                what would change
pyinfra inventories/h800.py deploys/full.py                      make it so
pyinfra inventories/h800.py deploys.stages.weights.fetch         one stage alone
"""

from pyinfra import config

from deploys.control.current_plan import current_plan, without_python
from deploys.engines import ktransformers, llama_cpp, ollama, sglang, vllm
from deploys.operations import host_lock, python
from deploys.stages import (
    amd,
    backup,
    base,
    chat,
    firewall,
    gateway,
    monitoring,
    nvidia,
    peers,
    services,
    state,
    weights,
)

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

# Without it a machine can neither be looked at nor planned for.
first = without_python()
if first:
    python.at_once(python.installed(name="Install Python", first=first), first)

# Facts and profile become the plan. A refusal stops this host here, before any change.
plan = current_plan()

host_lock.acquire(name="Lock this machine")

# The machine itself.
base.install()
nvidia.install()
amd.install()

# One line an engine, never a loop: pyinfra tells operations apart by line.
if plan.uses("llama.cpp"):
    llama_cpp.install()
if plan.uses("vllm"):
    vllm.install()
if plan.uses("sglang"):
    sglang.install()
if plan.uses("ktransformers"):
    ktransformers.install()
if plan.uses("ollama"):
    ollama.install()

# Who reaches the models, and how.
gateway.install()
chat.install()
monitoring.install()
backup.restore()

# The weights, before anything that would load them; machines of one site take them from each other.
peers.share()
weights.fetch()

# What is planned no more leaves its port, memory and cards to what is.
services.retire()
if plan.uses("llama.cpp"):
    llama_cpp.start()
if plan.uses("vllm"):
    vllm.start()
if plan.uses("sglang"):
    sglang.start()
if plan.uses("ktransformers"):
    ktransformers.start()
if plan.uses("ollama"):
    ollama.start()

gateway.start()
chat.start()
monitoring.start()

# Last: what is open by now is used.
firewall.apply()

state.record()
