"""Have the gateways ask some machines no longer while these are worked on, or ask them again.

pyinfra inventories/h800.py deploys/drain.py -y --data away=gpu-02,gpu-03
pyinfra inventories/h800.py deploys/drain.py -y --data away=gpu-02 --data patience=3600
pyinfra inventories/h800.py deploys/drain.py -y --data back=gpu-02,gpu-03

It waits until they have answered what they were asked, or answer again, for ten minutes or as many
seconds as `patience` says. A gateway that is started anew or reads another configuration asks them
again; what is in `drained` of its profile stays away until that is changed.
"""

from pyinfra import config

from deploys.control.clients import drained
from deploys.control.current_plan import planned
from deploys.operations import host_lock
from deploys.operations.gateway import drain

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

# Only for the connection and its rights.
planned(to_change=True)
wanted = drained.asked()

host_lock.acquire(name="Lock this machine")

drain.away(
    name="Ask machines no longer",
    machines=wanted.away,
    patience=wanted.patience,
)
drain.back(
    name="Ask machines again",
    machines=wanted.back,
    patience=wanted.patience,
)
