"""What `python -m tests.gpu deploy` tells its inventory, and reads of a run."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.gpu import deploy
from tests.unit.plan_examples import MACHINE
from tests.unit.test_real_machine import H200


def test_the_profile_is_that_of_the_cards_that_are_found() -> None:
    assert deploy.cards(H200) == {"gpu": "H200", "gpus": 1}
    assert deploy.cards(MACHINE) == {"gpu": None, "gpus": 0}


def test_operations_that_changed_something_are_named() -> None:
    operations = [{"name": "a", "no_change": True}, {"name": "b", "no_change": False}]
    assert deploy.changed(json.dumps({"results": {"operations": operations}})) == ["b"]
    assert deploy.changed("--> pyinfra error") == "--> pyinfra error"


def test_the_machine_is_started_by_a_script_that_bash_reads() -> None:
    script = Path(deploy.__file__).with_name("boot")
    subprocess.run(["bash", "-n", script], check=True)
