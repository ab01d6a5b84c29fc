"""Facts: one YAML file a case, in cases/facts/<module>.<Class>/."""

from __future__ import annotations

import pytest
from pyinfra.api.exceptions import FactProcessError

from deploys.facts import (
    bundle,
    files,
    firewall,
    gateway,
    jobs,
    listings,
    machine,
    ollama,
    packages,
    services,
    sysctl,
    usage,
    users,
    versions,
    weights,
)
from deploys.facts.lifecycle import look, remains
from deploys.planning.gateway.usage import GatewayLog
from deploys.planning.lifecycle.seen import Seen
from tests.unit import UNIT, case_commands

CASES = UNIT / "cases" / "facts"
# What pyinfra hands out where a command prints nothing.
DEFAULTS = {
    bundle.BundleText: None,
    files.Entries: {},
    firewall.Ruleset: firewall.Table(loaded=False, as_wanted=False),
    gateway.CertificateDue: True,
    gateway.Certificates: {},
    gateway.GatewayProcesses: gateway.Running(),
    jobs.Job: jobs.Status(state="none"),
    machine.Hardware: None,
    machine.WithoutPython: None,
    ollama.Registered: set(),
    packages.Components: {},
    packages.Held: set(),
    packages.Installed: {},
    packages.InstalledRpms: set(),
    packages.LockHolder: None,
    packages.Modules: set(),
    packages.SourcesWithUrl: set(),
    packages.Repositories: set(),
    listings.Listings: [],
    look.Look: Seen(),
    remains.Remains: [],
    services.EnabledUnits: {},
    services.UnitStates: {},
    services.Units: {},
    sysctl.Settings: {},
    usage.Log: GatewayLog(),
    users.Accounts: {},
    versions.Versions: {},
    weights.Manifests: set(),
}


@pytest.fixture(autouse=True)
def _our_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    case_commands.install_for_facts(monkeypatch)


for _folder in sorted(CASES.iterdir()):
    globals()[_folder.name] = case_commands.make_fact_tests("deploys.facts", _folder.name, _folder)


@pytest.mark.parametrize("fact", DEFAULTS, ids=lambda fact: fact.__name__)
def test_a_command_without_output_means(fact: type) -> None:
    assert fact.default() == DEFAULTS[fact]


def test_every_fact_has_cases() -> None:
    modules = {fact: fact.__module__.removeprefix("deploys.facts.") for fact in DEFAULTS}
    names = {f"{module}.{fact.__name__}" for fact, module in modules.items()}
    assert {folder.name for folder in CASES.iterdir() if any(folder.iterdir())} == names


@pytest.mark.parametrize("line", ["Traceback (most recent call last):", "{}", '{"hostname": 1}'])
def test_a_machine_that_describes_itself_unreadably_fails_alone(line: str) -> None:
    with pytest.raises(FactProcessError, match="cannot be read"):
        machine.Hardware().process([line])
