"""Everything of the sandbox, with seconds of patience for a server that does not answer."""

from dataclasses import replace

from deploys.control.current_plan import current_plan
from deploys.engines import llama_cpp
from deploys.operations import host_lock
from deploys.operations.services import service
from deploys.operations.services.unit import Unit

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
