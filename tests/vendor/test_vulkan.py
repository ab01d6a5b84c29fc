"""llama.cpp through Vulkan on Debian 13: compiled there, all layers on Mesa's device, and no other.

The bus and the kernel's amdgpu are scripted, Vulkan and its device are Mesa's: a layer shows that,
the processor, as the card. Compiling takes half an hour of two quiet cores, and each start minutes,
as Mesa compiles the shaders for the processor.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.e2e.rack import Rack, Run
from tests.lab import Lab, vulkan
from tests.lab.classes import HARDWARE
from tests.lab.hardware import fit
from tests.lab.tiny_model import ANSWER

UNIT, CARD, OTHER = "llama-server@tiny", "0000:03:00.0", "0000:23:00.0"
# A processor is not as fast as the card that it is shown as.
PROFILE = """\
profile = replace(
    profile,
    gpu="Radeon PRO W7900",
    gpus=1,
    services=tuple(replace(each, min_tokens_per_second=0.01) for each in profile.services),
)
"""
BY_HAND = """\
. /etc/modelrack/services/tiny.env
systemd-run --quiet --unit=by-hand /opt/modelrack/engines/llama.cpp/current/bin/llama-server \
  --model $LLAMA_ARG_MODEL --port 8099 --ctx-size 512 --device none --gpu-layers 0 --verbosity 4
until curl -fs http://127.0.0.1:8099/health; do sleep 0.2; done
"""


@pytest.fixture(scope="module")
def deployed(
    lab_factory: Callable[..., Lab], lab_hub, lab_github, tmp_path_factory
) -> Iterator[tuple[Rack, Run]]:
    lab = lab_factory(["radeon"], name="vulkan", suite="trixie")
    (machine,) = lab.machines
    hardware = HARDWARE["w7900"]
    fit(machine, replace(hardware, boards=hardware.boards[:1]))
    # udev brings it, which a container does without.
    machine.ssh("groupadd --system render")
    vulkan.show(machine, CARD)
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = Rack(lab, hub, github, tmp_path_factory.mktemp("vulkan"), PROFILE)
    yield rack, rack.deploy()


def test_all_layers_are_on_the_device_that_was_planned(deployed: tuple[Rack, Run]) -> None:
    rack, first = deployed
    assert first.code == 0, first.output
    log = rack.machines[0].ssh(f"journalctl -u {UNIT} --output=cat").stdout
    assert "using device Vulkan0 (llvmpipe" in log and f"({CARD})" in log
    assert "offloaded 3/3 layers to GPU" in log


def test_it_answers_as_on_the_processor(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    rack.machines[0].ssh(BY_HAND)
    answers = [json.loads(rack.ask(port))["choices"][0]["message"] for port in (8080, 8099)]
    assert answers[0] == answers[1] and ANSWER in answers[0]["content"]
    log = rack.machines[0].ssh("journalctl -u by-hand --output=cat").stdout
    assert "offloaded 0/3 layers to GPU" in log
    rack.machines[0].ssh("systemctl stop by-hand")


def test_a_second_run_changes_nothing(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    second = rack.deploy("--json")
    assert second.code == 0 and not second.changed, second.output


def test_another_device_is_no_answer(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    (machine,) = rack.machines
    vulkan.show(machine, OTHER)
    machine.ssh(f"systemctl stop {UNIT}")
    refused = rack.deploy()
    assert refused.code == 1
    assert "it computes on Vulkan0 (llvmpipe" in refused.output, refused.output
    assert f"at {OTHER} instead of {CARD}" in refused.output


def test_without_a_device_it_does_not_go_on_without_a_word(deployed: tuple[Rack, Run]) -> None:
    rack, _ = deployed
    (machine,) = rack.machines
    machine.ssh(f"rm {vulkan.MANIFEST}")
    machine.ssh(f"systemctl stop {UNIT}")
    refused = rack.deploy()
    assert refused.code == 1 and "invalid device: Vulkan0" in refused.output, refused.output
    assert "programs do not reach a card that was planned" in refused.output
