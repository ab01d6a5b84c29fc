"""The @fake hosts of every host class, which answer the facts command as simulated.py says.

Run from the repository: pyinfra tests/plans/fake.py <deploy> --group-data inventories/group_data
"""

import json

from tests.plans.simulated import CLASSES


def _host(name, rank):
    facts = CLASSES[name].of(rank)
    together = {"fabric_address": facts["addresses"][0]} if CLASSES[name].machines > 1 else {}
    return (
        f"@fake/{name}-{rank + 1:02}",
        {
            **together,
            # A part of the command by which the facts program is run.
            "fake_responses": {"modelrack-facts-machine": json.dumps(facts)},
            "fake_delay": 0,
            "fake_delay_jitter": 0,
        },
    )


# A group is a list by the name of its class.
globals().update(
    {name: [_host(name, rank) for rank in range(of.machines)] for name, of in CLASSES.items()}
)
