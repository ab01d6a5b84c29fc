"""Bad input: one clear message, and a machine that nobody touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.rack import Rack
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
    machine.ssh("sleep 1")
    run = rack.deploy()
    assert run.code == 1, run.output
    assert "port 8080 is taken by squatter.service" in run.output
    machine.ssh("systemctl stop squatter")
    _assert_untouched(rack)


def test_the_package_manager_is_held(bare: Callable[[str], Rack]) -> None:
    rack = bare("site = replace(site, apt_lock_wait=3)")
    machine = rack.machines[0]
    hold = (
        "import fcntl, time; file = open('/var/lib/dpkg/lock-frontend', 'w');"
        " fcntl.lockf(file, fcntl.LOCK_EX); time.sleep({})"
    )
    machine.ssh(["systemd-run", "--unit=holder", "python3", "-c", hold.format(600)])
    machine.ssh("sleep 1")
    run = rack.deploy()
    assert run.code == 1, run.output
    assert re.search(r"waiting for python3 \(pid \d+\)", run.output), run.output
    assert re.search(r"the package manager is held by python3 \(pid \d+\)", run.output)
    machine.ssh("systemctl stop holder")
    machine.ssh(["systemd-run", "--unit=holder2", "python3", "-c", hold.format(20)])
    machine.ssh("sleep 1")
    patient = bare("site = replace(site, apt_lock_wait=60)").deploy()
    assert patient.code == 0, patient.output
    assert re.search(r"waiting for python3 \(pid \d+\)", patient.output)


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
