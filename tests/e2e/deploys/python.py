"""An environment for a Python that the machine does not have."""

from pyinfra import host

from deploys.control.current_plan import current_plan
from deploys.operations import venv
from deploys.planning.engines.software import Environment
from deploys.stages import base

plan = current_plan()
base.install()
venv.installed(
    name="Make an environment",
    environment=Environment(
        name="python",
        version="1",
        lock=host.data.told["lock"],
        digest=host.data.told["preset"].lower(),
        # Neither 12 nor 13 of Debian has it.
        python="3.12",
        imports=("lab_indexed",),
    ),
    site=plan.site,
)
