"""Bad input: one clear message, and a machine that nobody touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.e2e import package_lock
from tests.e2e.rack import Rack, read_until
from tests.lab.hub import Hub

# Group data that asks for something impossible, and what the operator is told.
WRONG = {
    "an unknown GPU": (
        "profile = replace(profile, gpu='H900', gpus=8)",
        "refused: .*H900.*",
    ),
    "an unknown engine": (
        "profile = replace(profile, services=(replace(profile.services[0], engine='llama'),))",
        "Refusal: .*no engine 'llama'.*Write one of vllm",
    ),
    "two services on one port": (
        "profile = replace(profile, services=(*profile.services,"
        " replace(profile.services[0], name='other')))",
        "Refusal: .*tiny and other both want port 8080.*another port",
    ),
    "an unknown model": (
        "profile = replace(profile, services=(replace(profile.services[0], model='deepseek-r9'),))",
        "refused: .*deepseek-r9",
    ),
    "no hub that has the model": (
        "profile = replace(profile, services=(replace(profile.services[0],"
        " model=replace(profile.services[0].model, modelscope='no/such', huggingface=None)),))",
        "refused: No hub lists tiny-qwen2.*",
    ),
}


@pytest.fixture(scope="module")
def bare(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Callable[[str], Rack]]:
    """`bare(extra)` is a rack with one machine that stays as it was booted."""
    lab = lab_factory(1, name="refused")
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    yield lambda extra: Rack(lab, hub, github, tmp_path_factory.mktemp("refused"), extra)


@pytest.mark.parametrize("case", WRONG)
def test_wrong_group_data(bare: Callable[[str], Rack], case: str) -> None:
    extra, message = WRONG[case]
    rack = bare(extra)
    run = rack.deploy()
    assert run.code == 1, run.output
    assert len(re.findall(message, run.output)) == 1, run.output
    assert 'File "' not in run.output, "a traceback is no message"
    _assert_untouched(rack)


def test_no_space_for_the_weights(bare: Callable[[str], Rack]) -> None:
    rack = bare("")
    machine = rack.machines[0]
    machine.ssh("mkdir -p /data && mount -t tmpfs -o size=100k tmpfs /data")
    run = rack.deploy()
    assert run.code == 1, run.output
    assert re.search(r"refused: The weights need \S+ MiB on /data, which has", run.output)
    machine.ssh("umount /data && rmdir /data")
    _assert_untouched(rack)


def test_a_port_that_somebody_else_has(bare: Callable[[str], Rack]) -> None:
    rack = bare("")
    machine = rack.machines[0]
    machine.ssh("systemd-run --unit=squatter python3 -m http.server 8080")
    machine.ssh("until curl -s http://127.0.0.1:8080 >/dev/null; do sleep 0.1; done", timeout=60)
    run = rack.deploy()
    assert run.code == 1, run.output
    assert "port 8080 is taken by squatter.service" in run.output
    machine.ssh("systemctl stop squatter")
    _assert_untouched(rack)


def test_the_package_manager_is_held(bare: Callable[[str], Rack]) -> None:
    rack = bare("site = replace(site, apt_lock_wait=3)")
    machine = rack.machines[0]
    package_lock.hold(machine)
    run = rack.deploy()
    assert run.code == 1, run.output
    assert re.search(r"waiting for python3 \(pid \d+\)", run.output), run.output
    assert re.search(r"the package manager is held by python3 \(pid \d+\)", run.output)
    patient = bare("site = replace(site, apt_lock_wait=600)").start()
    printed = read_until(patient, r"waiting for python3 \(pid \d+\)")
    package_lock.release(machine)
    printed += patient.communicate(timeout=600)[0]
    assert patient.returncode == 0, printed


@pytest.mark.parametrize("lie", ["wrong_sha256", "corrupt"])
def test_a_hub_that_lies_about_a_hash(
    make_rack: Callable[..., Rack], lab_hub: Hub, lie: str
) -> None:
    rack = make_rack(1)
    lab_hub.faults.add(lie, "*F16-00002*" if lie == "corrupt" else "*")
    run = rack.deploy()
    assert run.code == 1, run.output
    assert "sha256" in run.output
    machine = rack.machines[0]
    assert (
        "active"
        not in machine.ssh("systemctl is-active llama-server@tiny", check=False).stdout.split()
    )
    assert machine.ssh("ls /data/models/tiny-qwen2/*.gguf", check=False).stdout == ""
    lab_hub.faults.clear()
    if lie == "wrong_sha256":
        (rack.folder / ".lab/sandbox/locks/weights.yaml").unlink()
    assert rack.deploy().code == 0


def _assert_untouched(rack: Rack) -> None:
    machine = rack.machines[0]
    found = machine.ssh("ls -d /etc/modelrack /opt/modelrack /data 2>/dev/null", check=False)
    assert found.stdout == ""
