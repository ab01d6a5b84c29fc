"""Everything of the sandbox, with seconds of patience for a server that does not answer."""

from dataclasses import replace

from deploys.engines import llama_cpp
from deploys.facts.plan import current_plan
from deploys.operations import host_lock, service
from deploys.operations.service import Unit

plan = current_plan()
host_lock.acquire(name="Keep other runs away")
llama_cpp.install()
service.running(
    name="Start without patience",
    software=plan.software_of("llama.cpp"),
    units=[
        replace(Unit.of(plan, planned), patience=10.0) for planned in plan.services_of("llama.cpp")
    ],
    deployed=plan.deployed_of("llama.cpp"),
)
