"""ModelScope alone serves every class that is served at all, so that no site needs another hub."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploys.planning.inputs.profile import HostProfile
from deploys.planning.models.catalogue import model
from deploys.planning.plan import HostPlan
from tests.plans import update
from tests.plans.simulated import MACHINES


def with_modelscope_alone(name: str, profile: HostProfile) -> HostPlan:
    _, plan = update.plan_of(name, profile=profile, hubs=("modelscope",))
    return plan


@pytest.mark.parametrize("name", MACHINES)
def test_modelscope_has_what_a_class_serves(name: str) -> None:
    _, usual = update.plan_of(name)
    profile = update.profile_of(name)
    alone = with_modelscope_alone(name, profile)
    assert list(map(str, alone.refusals)) == list(map(str, usual.refusals))
    models = [service.model for service in profile.services]
    assert all(isinstance(key, str) and model(key).modelscope for key in models)


def test_a_hub_that_lacks_a_model_is_seen() -> None:
    profile = update.profile_of("rtx3090")
    services = (replace(profile.services[0], model="deepseek-r1-distill-qwen-32b-awq"),)
    plan = with_modelscope_alone("rtx3090", replace(profile, services=services))
    assert any("none of the hubs" in str(refusal) for refusal in plan.refusals)
