"""What `python -m tests.gpu.deploy` tells its inventory, reads of a run, and what one showed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.gpu import deploy
from tests.lab.process import PROJECT
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


def test_what_it_takes_to_measure_is_there_on_a_bare_machine() -> None:
    """As tests/gpu says: PyYAML, Jinja2 and this folder, and no more."""
    allowed = {"yaml", "_yaml", "jinja2", "markupsafe", "tests", "deploys"}
    code = f"""
import sys
class Bare:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in sys.stdlib_module_names | {allowed!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Bare())
import tests.gpu.__main__
"""
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)


def test_a_machine_with_a_card_came_to_a_service_and_stayed_as_it_was() -> None:
    result = json.loads((Path(deploy.__file__).parent / "results/h200-deploy.json").read_text())
    first, again, proof = result["steps"]
    assert [each["step"] for each in (first, again, proof)] == ["first", "again", "proof"]
    assert {first["code"], again["code"], proof["code"]} == {0}
    assert "llama.cpp | Install llama.cpp, compiled once for machines of this kind" in first["said"]
    assert "llama.cpp | Configure and start the services, wait for their answer" in first["said"]
    assert again["said"] == []
    assert proof["said"].startswith("19 passed")
    # The health gate's own figures: a model that sat on the processor would come to a few.
    assert result["service"]["tokens_per_second"] > 70
    assert result["service"]["context"] == 16_384
