"""One @fake host of every host class, which answers the facts command as simulated.py says.

Run from the repository: pyinfra tests/plans/fake.py <deploy> --group-data inventories/group_data
"""

import json

from tests.plans.simulated import MACHINES


def _host(name):
    facts = json.dumps(MACHINES[name])
    return (
        f"@fake/{name}-01",
        {
            # A part of the command by which the facts program is run.
            "fake_responses": {"modelrack-facts-machine": facts},
            "fake_delay": 0,
            "fake_delay_jitter": 0,
        },
    )


h800 = [_host("h800")]
h20 = [_host("h20")]
h200 = [_host("h200")]
a100 = [_host("a100")]
v100 = [_host("v100")]
rtx4090 = [_host("rtx4090")]
rtx5090 = [_host("rtx5090")]
rtx3090 = [_host("rtx3090")]
rtx6000ada = [_host("rtx6000ada")]
l40s = [_host("l40s")]
mi300x = [_host("mi300x")]
ascend910b = [_host("ascend910b")]
cpu = [_host("cpu")]
