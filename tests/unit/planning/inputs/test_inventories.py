"""Inventories and group data: complete, plain, and of one mind with the tables."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploys.planning.hardware.gpus import by_pci_id, named
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.site import Site
from deploys.planning.weights.weights import model_of
from tests.plans.simulated import MACHINES
from tests.unit import ROOT

REPOSITORY = ROOT
INVENTORIES = REPOSITORY / "inventories"
GROUP_DATA = INVENTORIES / "group_data"
CLASSES = tuple(MACHINES)
# A mixed inventory, and the ones that stand for a single machine of no class.
NOT_A_CLASS = {"all", "lab", "local", "sandbox"}

EVERY_CLASS = pytest.mark.parametrize("name", CLASSES)


def _execute(path: Path) -> dict[str, Any]:
    """What pyinfra gets to see: the file's names, with nothing defined but __file__."""
    names: dict[str, Any] = {"__file__": str(path)}
    exec(compile(path.read_text(), path, "exec"), names)
    return names


def _profile(name: str) -> HostProfile:
    profile = _execute(GROUP_DATA / f"{name}.py")["profile"]
    assert isinstance(profile, HostProfile)
    return profile


# One process for all of them: pyinfra's import takes a second, an inventory does not.
_PRINT_ALL = """
import json, sys
from click.testing import CliRunner
from pyinfra_cli.cli import cli

printed = {}
for name, arguments in json.loads(sys.argv[1]).items():
    result = CliRunner().invoke(cli, [*arguments, "debug-inventory", "--json"])
    if result.exit_code != 0:
        sys.exit(f"{name}: {result.output}")
    printed[name] = json.loads(result.stdout)
print(json.dumps(printed))
"""


@pytest.fixture(scope="module")
def printed() -> dict[str, list[dict[str, Any]]]:
    """The hosts of every inventory, as `debug-inventory --json` prints them."""
    arguments = {name: [f"inventories/{name}.py"] for name in (*CLASSES, "lab", "local")}
    arguments["fake"] = ["tests/plans/fake.py", "--group-data", "inventories/group_data"]
    process = subprocess.run(
        [sys.executable, "-c", _PRINT_ALL, json.dumps(arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 0, process.stderr
    hosts: dict[str, list[dict[str, Any]]] = json.loads(process.stdout)
    return hosts


def test_class_inventory_group_data_and_simulated_machine_come_together() -> None:
    inventories = {path.stem for path in INVENTORIES.glob("*.py")} - NOT_A_CLASS
    group_data = {path.stem for path in GROUP_DATA.glob("*.py")} - NOT_A_CLASS
    assert inventories == group_data == set(CLASSES)


@pytest.mark.parametrize("name", [*CLASSES, "local"])
def test_group_data_is_a_docstring_imports_and_the_profile(name: str) -> None:
    tree = ast.parse((GROUP_DATA / f"{name}.py").read_text())
    assert ast.get_docstring(tree)
    docstring, *imports, assignment = tree.body
    assert isinstance(docstring, ast.Expr)
    assert all(isinstance(node, ast.ImportFrom) for node in imports)
    assert isinstance(assignment, ast.Assign)
    assert [ast.unparse(target) for target in assignment.targets] == ["profile"]


@pytest.mark.parametrize("name", [*CLASSES, "lab", "local"])
def test_an_inventory_is_a_docstring_and_lists_of_hosts(name: str) -> None:
    docstring, *lists = ast.parse((INVENTORIES / f"{name}.py").read_text()).body
    assert isinstance(docstring, ast.Expr)
    assert lists
    for node in lists:
        assert isinstance(node, ast.Assign)
        assert isinstance(node.value, ast.List)


@EVERY_CLASS
def test_models_and_gpu_are_known(name: str) -> None:
    profile = _profile(name)
    assert profile.services
    for service in profile.services:
        model = model_of(service)
        assert service.context is None or service.context <= model.network.context
        assert (model.format == "gguf") == (service.engine == "llama.cpp")
        assert (service.tensor_parallel or 1) * (service.replicas or 1) <= max(profile.gpus, 1)
    if profile.gpu is not None:
        named(profile.gpu)


@EVERY_CLASS
def test_weights_fit_into_the_memory_that_serves_them(name: str) -> None:
    profile = _profile(name)
    memory = MACHINES[name]["memory"]
    if profile.gpu is not None:
        memory = named(profile.gpu).memory * profile.gpus
    sizes = [
        model_of(each).size * (each.replicas or 1) / each.machines for each in profile.services
    ]
    assert sum(sizes) < 0.92 * memory


@EVERY_CLASS
def test_the_simulated_machine_has_the_gpus_of_the_profile(name: str) -> None:
    profile = _profile(name)
    machine = Machine.from_json(json.loads(json.dumps(MACHINES[name])))
    found = [by_pci_id(gpu.pci_id) for gpu in machine.gpus]
    assert [gpu.name if gpu else None for gpu in found] == [profile.gpu] * profile.gpus
    assert len({gpu.address for gpu in machine.gpus}) == profile.gpus


@EVERY_CLASS
def test_the_simulated_machine_has_room_for_the_weights(name: str) -> None:
    machine = Machine.from_json(MACHINES[name])
    disk = machine.disk_of(f"{Site().data_root}/models")
    assert disk is not None
    assert disk.free > sum(model_of(service).size for service in _profile(name).services)


@pytest.mark.parametrize("name", [*CLASSES, "local"])
def test_debug_inventory_prints_the_services(
    name: str, printed: dict[str, list[dict[str, Any]]]
) -> None:
    profile = _profile(name)
    # As many as serve its model together.
    assert len(printed[name]) == max(each.machines for each in profile.services)
    for host in printed[name]:
        assert name in host["groups"]
        assert host["data"]["profile"] == json.loads(json.dumps(profile.to_json()))
        assert host["data"]["site"]["data_root"] == Site().data_root


@pytest.mark.parametrize("name", ["lab", "fake"])
def test_every_host_of_a_mixed_inventory_has_the_profile_of_its_class(
    name: str, printed: dict[str, list[dict[str, Any]]]
) -> None:
    for host in printed[name]:
        (group,) = set(host["groups"]) & set(CLASSES)
        assert host["data"]["profile"] == json.loads(json.dumps(_profile(group).to_json()))


def test_every_class_has_a_fake_host(printed: dict[str, list[dict[str, Any]]]) -> None:
    assert {host["name"] for host in printed["fake"]} == {
        f"@fake/{name}-{rank + 1:02}"
        for name in CLASSES
        for rank in range(max(each.machines for each in _profile(name).services))
    }
    for host in printed["fake"]:
        (answer,) = host["data"]["fake_responses"].values()
        assert Machine.from_json(json.loads(answer)).hostname == host["name"].removeprefix("@fake/")


def test_debug_inventory_prints_the_services_for_people() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "pyinfra", "inventories/h800.py", "debug-inventory"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.returncode == 0, process.stderr
    assert '"model": "deepseek-r1-awq"' in process.stdout + process.stderr
