"""The chat page of the profile runs as it should, and lets in whom it should."""

from __future__ import annotations

import json
import re
from typing import Any

from testinfra.host import Host

from deploys.planning import unit_names
from deploys.planning.gateway import chat as planned
from deploys.planning.gateway.plan import CHAT_ADDRESS, CHAT_KEY, CHAT_PORT

EXPOSURE = 1.5
PAGE = f"http://{CHAT_ADDRESS}:{CHAT_PORT}"


def test_it_runs_as_its_own_user_and_can_do_little_harm(
    machine: Host, chat: dict[str, Any]
) -> None:
    unit = machine.service(unit_names.CHAT)
    assert unit.is_enabled
    assert unit.is_running
    assert machine.check_output("ps -o user:32= -p %s", unit.systemd_properties["MainPID"]) == (
        planned.USER
    )
    report = machine.check_output("systemd-analyze security --no-pager %s", unit_names.CHAT)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
    assert exposure and float(exposure[1]) <= EXPOSURE, report


def test_it_is_in_its_language_and_nobody_signs_up(machine: Host, chat: dict[str, Any]) -> None:
    settings = json.loads(machine.check_output("curl -sf %s/api/config", PAGE))
    assert settings["default_locale"] == chat["locale"]
    assert settings["features"]["enable_signup"] is False


def test_its_secrets_are_for_root_alone(machine: Host, chat: dict[str, Any]) -> None:
    for path in (planned.PASSWORD, CHAT_KEY):
        file = machine.file(path)
        assert (file.mode, file.user) == (0o600, "root")
    folder = machine.file(planned.DATA)
    assert (folder.mode, folder.user) == (0o700, planned.USER)
