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


# A group is a list by the name of its class.
globals().update({name: [_host(name)] for name in MACHINES})
