"""The driver on machines whose GPUs are scripted: apt, DKMS, systemd and the reboots are real."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.e2e import package_lock
from tests.e2e.digest import difference, digest
from tests.e2e.rack import PROJECT, Rack, Run, run
from tests.e2e.whole_life import UNINSTALL, audit
from tests.lab import Lab, Machine, chroot
from tests.lab.classes import HARDWARE
from tests.lab.hardware import Hardware, change, fit, occupy
from tests.lab.nvidia_packages import DRIVER, OLD
from tests.lab.nvidia_repository import NvidiaRepository, connect
from tests.lab.tree import Layer

LOADED = "cat /proc/driver/nvidia/version"
APT = "DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends"
PARTS = ("nvidia-dkms-580-open", "libnvidia-compute-580", "nvidia-utils-580")
H800 = "gpu='H800', gpus=8"


@dataclass
class Bench:
    """Machines of one lab, each of a class of its own, and the way to deploy to one of them."""

    lab: Lab
    url: str
    repository: NvidiaRepository
    folder: Callable[[], Path]
    layers: dict[str, Layer]

    def machine(self, name: str, hardware: Hardware, layer: str = "bare") -> Machine:
        (machine,) = self.lab.add(name, layer=self.layers[layer])
        system = hardware.system or ("debian", "12")
        connect(machine, self.url, system[0])
        fit(machine, hardware)
        return machine

    def deploy(
        self, machine: Machine, profile: str, *options: str, site: str = "", deploy: str = ""
    ) -> Run:
        rack = self.rack(machine, profile, site)
        return rack.deploy(*options, deploy=deploy or "deploys/full.py")

    def killed_after(self, nth: int, machine: Machine, profile: str) -> Run:
        """A deploy that dies after one of its operations."""
        command = self.rack(machine, profile, "").command()
        return run([sys.executable, "-m", "tests.e2e.kill_after", str(nth), *command[3:]])

    @contextmanager
    def started(self, machine: Machine, profile: str) -> Iterator[subprocess.Popen[str]]:
        """A deploy beside the test."""
        process = self.rack(machine, profile, "").start()
        try:
            yield process
        finally:
            process.kill()

    def rack(self, machine: Machine, profile: str, site: str) -> Rack:
        extra = (
            f"site = replace(site, mirrors=replace(site.mirrors, cuda={self.url!r}){site})\n"
            f"profile = HostProfile({profile})\n"
        )
        rack = Rack(self.lab, "", "", self.folder(), extra)
        rack.point_to([machine], "", "")
        self.repository.pin(rack.folder / ".lab/sandbox/locks")
        return rack


@pytest.fixture(scope="module")
def bench(
    lab_factory: Callable[..., Lab],
    lab_nvidia: NvidiaRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    lab = lab_factory(["first"], name="driver")
    (first,) = lab.machines
    connect(first, lab_nvidia.listen(lab.host), "ubuntu")
    fit(first, HARDWARE["cpu"])
    bench = Bench(
        lab,
        lab_nvidia.listen(lab.host),
        lab_nvidia,
        lambda: tmp_path_factory.mktemp("driver"),
        {},
    )
    base = bench.deploy(first, "")
    assert base.code == 0, base.output
    first.stop()
    bench.layers["bare"] = lab.snapshot(first)
    return bench


NOUVEAU = replace(HARDWARE["h800"], nouveau=True)


@dataclass
class Done:
    """A machine that was bare, the run that changed that, and what it has become."""

    machine: Machine
    run: Run
    state: dict[str, object]


@pytest.fixture(scope="module")
def done(bench: Bench) -> Done:
    machine = bench.machine("bare", NOUVEAU)
    before = digest(machine)
    dry = bench.deploy(machine, H800, "--dry")
    assert dry.code == 0, dry.output
    assert difference(before, digest(machine)) == {}
    run = bench.deploy(machine, H800, "--json")
    assert run.code == 0, run.output
    return Done(machine, run, _state(machine))


def test_a_bare_machine_with_nouveau_becomes_a_right_one(done: Done) -> None:
    machine, said = done.machine, done.run.output
    assert re.search(r"rebooting to load driver 580.178.04.*it is back after \d+ s", said, re.S)
    assert machine.boots() == 3  # The second was for the hardware to be built in.
    assert f"Open Kernel Module for x86_64  {DRIVER}  " in machine.ssh(LOADED).stdout
    assert machine.ssh("nvidia-smi -L").stdout.count("NVIDIA H800") == 8
    assert {*PARTS, "nvidia-fabricmanager"} <= {*machine.ssh("apt-mark showhold").stdout.split()}
    assert "trusted" not in machine.ssh("cat /etc/apt/sources.list.d/cuda-ubuntu2204.list").stdout
    blocklist = machine.ssh("apt-config dump Unattended-Upgrade::Package-Blacklist").stdout
    assert '"nvidia-"' in blocklist and '"libnvidia-"' in blocklist
    # /run was emptied by the reboot, so this lock was taken after it.
    assert machine.ssh("test -e /run/modelrack/lock").returncode == 0
    upgrade = machine.ssh("apt-get -q update && apt-get -s -q dist-upgrade").stdout
    assert "0 upgraded, 0 newly installed, 0 to remove" in upgrade


def test_the_second_run_changes_nothing(bench: Bench, done: Done) -> None:
    again = bench.deploy(done.machine, H800, "--json")
    assert again.code == 0, again.output
    assert again.changed == []
    assert difference(done.state, _state(done.machine)) == {}
    dry = bench.deploy(done.machine, H800, "--dry", "--json")
    planned = json.loads(dry.stdout)["plan"]
    assert [entry["name"] for entry in planned if entry["hosts_with_change"]] == []


def test_a_run_that_was_killed_is_taken_up_by_the_next(
    bench: Bench, done: Done, request: pytest.FixtureRequest
) -> None:
    names = [entry["name"] for entry in done.run.operations]
    every = [nth for nth, name in enumerate(names, 1) if name.startswith("NVIDIA | ")]
    chosen = every if request.config.getoption("--every-operation") else random.sample(every, 1)
    for nth in chosen:
        machine = bench.machine(f"killed{nth}", NOUVEAU)
        killed = bench.killed_after(nth, machine, H800)
        assert killed.code == -signal.SIGKILL, killed.output
        _assert_taken_up(bench, machine, done, f"after {names[nth - 1]}")


@pytest.mark.parametrize("moment", ["while packages are installed", "while it reboots"])
def test_a_run_that_is_killed_in_the_middle(bench: Bench, done: Done, moment: str) -> None:
    """What runs on the machine goes on there; the next run waits for it."""
    hardware = replace(NOUVEAU, dkms_seconds=3)
    machine = bench.machine(f"killed-{moment.split()[-1]}", hardware)
    with bench.started(machine, H800) as run:
        if moment == "while it reboots":
            boots = machine.boots()
            deadline = time.monotonic() + 60
            while machine.boots() == boots and time.monotonic() < deadline:
                time.sleep(0.05)
        else:
            machine.ssh("until pgrep -f 'dkm[s] postinst' >/dev/null; do sleep 0.1; done")
        run.send_signal(signal.SIGKILL)
        run.wait()
    machine.wait_ssh()
    _assert_taken_up(bench, machine, done, moment)


def _assert_taken_up(bench: Bench, machine: Machine, done: Done, when: str) -> None:
    again = bench.deploy(machine, H800)
    assert again.code == 0, f"{when}: {again.output}"
    assert difference(done.state, _state(machine)) == {}, when
    machine.kill()


def _state(machine: Machine) -> dict[str, object]:
    """What the machine has become, the running driver and its services included."""
    units = "nvidia-fabricmanager nvidia-persistenced nvidia-dcgm"
    active = machine.ssh(f"systemctl is-active {units}", check=False).stdout.split()
    return {**digest(machine), "active": active, "loaded": machine.ssh(LOADED).stdout}


def test_another_version_takes_the_place_of_the_one_we_held(bench: Bench, done: Done) -> None:
    """An older one at that: pin, holds, modules and fabric manager go back together."""
    run = bench.deploy(done.machine, f"{H800}, driver={OLD!r}")
    assert run.code == 0, run.output
    assert f"  {OLD}  " in done.machine.ssh(LOADED).stdout
    held = done.machine.ssh("apt-mark showhold").stdout.split()
    assert [name for name in held if "pinning" in name] == [f"nvidia-driver-pinning-{OLD}"]
    again = bench.deploy(done.machine, f"{H800}, driver={OLD!r}", "--json")
    assert again.changed == []


def test_volta_gets_the_proprietary_module_and_needs_no_reboot(bench: Bench) -> None:
    machine = bench.machine("v100", HARDWARE["v100"])
    before = _packages(machine)
    rack = bench.rack(machine, f"gpu='V100', gpus={len(HARDWARE['v100'].boards)}", "")
    run = rack.deploy()
    assert run.code == 0, run.output
    assert machine.boots() == 2
    assert f"NVIDIA UNIX x86_64 Kernel Module  {DRIVER}  " in machine.ssh(LOADED).stdout
    assert audit(rack) == []
    # Without a word about it the driver stays, with all that brings its next version.
    kept = rack.deploy(deploy=UNINSTALL)
    assert "the GPU driver stays, with its repository: --data driver=true" in kept.output
    assert _packages(machine) - before
    assert machine.ssh("ls /etc/apt/sources.list.d/cuda-*.list /etc/apt/keyrings/*").stdout
    gone = rack.deploy("--data", "driver=true", deploy=UNINSTALL)
    assert gone.code == 0, gone.output
    assert _packages(machine) <= before
    left = "ls -d /etc/apt/*/cuda* /etc/mod*/*modelrack* /etc/modelrack /var/lib/modelrack"
    assert machine.ssh(left, check=False).stdout == ""
    assert machine.ssh("apt-mark showhold").stdout == ""


def _packages(machine: Machine) -> set[str]:
    return {*machine.ssh("dpkg-query -W -f '${db:Status-Status}:${Package}\n'").stdout.split()}


@pytest.fixture(scope="module")
def used(bench: Bench) -> Machine:
    """Somebody else installed an older driver there, and it is right."""
    machine = bench.machine("used", HARDWARE["h800"])
    key = "/etc/apt/keyrings/cuda.gpg"
    repository = f"{bench.url}/ubuntu2204/x86_64"
    machine.ssh(
        f"mkdir -p /etc/apt/keyrings && curl -fsS {repository}/cuda-keyring_1.1-1_all.deb -o k.deb"
        " && dpkg-deb --fsys-tarfile k.deb | tar -xO ./usr/share/keyrings/cuda-archive-keyring.gpg"
        f" > {key} && echo 'deb [signed-by={key}] {repository}/ /' > /etc/apt/sources.list.d/c.list"
    )
    _apt(machine, f"nvidia-driver-pinning-{OLD}")
    _apt(machine, *PARTS, "nvidia-fabricmanager", version=OLD)
    machine.ssh("systemctl enable nvidia-persistenced nvidia-fabricmanager")
    machine.reboot()
    return machine


WATCHED = ["NVIDIA | Install nvitop", "NVIDIA | Link nvitop into /opt/modelrack/bin"]


def test_a_driver_that_is_right_is_left_alone(bench: Bench, used: Machine) -> None:
    before = digest(used)
    run = bench.deploy(used, H800, "--json")
    assert run.code == 0, run.output
    assert run.changed == [*WATCHED, "State | Record the deployed state"]
    assert not [entry for entry in run.operations if "driver" in entry["name"]]
    assert not [path for path in difference(before, digest(used)) if "nvitop" not in path]
    assert "No package of the driver is held" in run.output


def test_what_is_compiled_finds_its_libraries_beside_such_a_driver(
    bench: Bench, used: Machine
) -> None:
    """From the same repository, which is then known by our file alone; the compiler stays away."""
    stage = "deploys.stages.nvidia.install"
    model = "deepseek-r1-distill-qwen-7b-q4_k_m"
    service = f"Service(name='r1', engine='llama.cpp', model={model!r}, port=8080)"
    profile = f"{H800}, services=({service},)"
    run = bench.deploy(used, profile, "--json", deploy=stage)
    assert run.code == 0, run.output
    folder = "/usr/local/cuda-13.0"
    used.ssh(f"test -e {folder}/targets/x86_64-linux/lib/libcublas.so.13")
    assert used.ssh(f"test -e {folder}/bin/nvcc", check=False).returncode != 0
    assert f"  {OLD}  " in used.ssh(LOADED).stdout
    again = bench.deploy(used, profile, "--json", deploy=stage)
    assert again.changed == []


def test_an_engine_that_compiles_while_it_runs_finds_a_compiler(
    bench: Bench, used: Machine
) -> None:
    stage, model = "deploys.stages.nvidia.install", "qwen3-235b-a22b-instruct-2507-fp8"
    service = f"Service(name='q', engine='ktransformers', model={model!r}, port=8000)"
    profile = f"{H800}, services=({service},)"
    run = bench.deploy(used, profile, "--json", deploy=stage)
    assert run.code == 0, run.output
    assert "NVIDIA | Install the CUDA compiler" in run.changed
    assert "release 12.9" in used.ssh("/usr/local/cuda-12.9/bin/nvcc --version").stdout
    assert f"  {OLD}  " in used.ssh(LOADED).stdout
    assert bench.deploy(used, profile, "--json", deploy=stage).changed == []


def test_somebody_else_uses_the_gpus(bench: Bench, used: Machine) -> None:
    occupy(used)
    before = digest(used)
    run = bench.deploy(used, f"{H800}, driver={DRIVER!r}")
    assert run.code == 1, run.output
    assert re.search(r"refused: .*python3 \(pid \d+, training.service\)", run.output)
    assert "allow_busy_gpus=True" in run.output
    assert difference(before, digest(used)) == {}
    used.ssh("systemctl stop training")


def test_a_gpu_that_fell_off_the_bus(bench: Bench, used: Machine) -> None:
    before = digest(used)
    change(used, HARDWARE["h800"].fall_off("0000:18:00.0"))
    run = bench.deploy(used, H800)
    change(used, HARDWARE["h800"])
    assert run.code == 1, run.output
    assert re.search(r"refused: The driver does not see 1 of 8 H800, at 0000:18:00.0", run.output)
    assert difference(before, digest(used)) == {}


def test_a_driver_that_was_upgraded_under_a_service(bench: Bench, used: Machine) -> None:
    _apt(used, f"nvidia-driver-pinning-{DRIVER}")
    _apt(used, *PARTS, "nvidia-fabricmanager", version=DRIVER)
    before = digest(used)
    run = bench.deploy(used, f"{H800}, reboot=False")
    assert run.code == 1, run.output
    assert f"driver {OLD} is loaded and {DRIVER} is " in run.output
    assert "Set reboot=True" in run.output
    assert difference(before, digest(used)) == {}

    # A job of ours is not ended by our own reboot.
    used.ssh("systemd-run --quiet --unit=modelrack-job-fetch-r1 sleep 600")
    run = bench.deploy(used, H800)
    assert run.code == 1, run.output
    assert "a job of ours runs on this machine (modelrack-job-fetch-r1.service)" in run.output
    used.ssh("systemctl stop modelrack-job-fetch-r1")

    boots = used.boots()
    run = bench.deploy(used, H800)
    assert run.code == 0, run.output
    # It named the same address with another key, with which apt would read nothing at all.
    assert used.ssh("test -e /etc/apt/sources.list.d/c.list.disabled").returncode == 0
    assert used.boots() == boots + 1
    assert f"  {DRIVER}  " in used.ssh(LOADED).stdout


def test_a_fabric_manager_of_another_version(bench: Bench, used: Machine) -> None:
    options, held = "--allow-downgrades", used.ssh("apt-mark showhold").stdout
    used.ssh("apt-mark unhold nvidia-fabricmanager")
    _apt(used, "nvidia-fabricmanager", version=OLD, options=options)
    used.ssh("systemctl restart nvidia-fabricmanager", check=False)
    boots = used.boots()
    run = bench.deploy(used, H800)
    assert run.code == 0, run.output
    assert used.boots() == boots
    assert used.ssh("apt-mark showhold").stdout == held
    assert used.ssh("systemctl is-active nvidia-fabricmanager").stdout == "active\n"
    assert bench.deploy(used, H800, "--json").code == 0


def test_a_reboot_that_never_comes_back(bench: Bench, used: Machine) -> None:
    used.stay_off()
    run = bench.deploy(used, H800, deploy="tests/e2e/deploys/reboot.py")
    used.stay_off(False)
    assert run.code == 1, run.output
    assert "has not come back within 5 s of its reboot. Look at its console" in run.output


BARE = "gpu='L40S', gpus={}"


@pytest.fixture(scope="module")
def l40s(bench: Bench) -> Machine:
    """Debian, nothing installed; what is wrong with it is each test's own."""
    return bench.machine("l40s", HARDWARE["l40s"])


# What the hardware is like, what the profile says, and what the operator is told.
REFUSED: dict[str, tuple[Callable[[Hardware], Hardware], str, str]] = {
    "fewer GPUs than declared": (
        lambda hardware: replace(hardware, boards=hardware.boards[:-1]),
        "",
        r"refused: 1 of \d+ L40S are missing: the PCI bus shows \d+\. .*reseat or replace",
    ),
    "GPUs of another kind": (
        lambda hardware: replace(hardware, boards=HARDWARE["rtx4090"].boards),
        "",
        r"refused: The profile says \d+ x L40S, and there is 8 x RTX 4090",
    ),
    "Secure Boot": (
        lambda hardware: replace(hardware, secure_boot=True, system=None),
        "",
        r"refused: Secure Boot is on.*mokutil --import",
    ),
    "Secure Boot and a kernel that nobody signs for": (
        lambda hardware: replace(hardware, secure_boot=True),
        "",
        r"refused: Canonical signs no driver modules for kernel .*Boot a kernel of Ubuntu's own",
    ),
    "a reboot that the profile forbids": (
        lambda hardware: replace(hardware, nouveau=True),
        ", reboot=False",
        r"refused: A reboot is needed, as the kernel's own nouveau.*Set reboot=True",
    ),
    "a driver that is too old": (
        lambda hardware: hardware,
        ", driver='535.261.03'",
        r"refused: .*535\.261\.03",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_machine_that_is_refused_is_not_touched(bench: Bench, l40s: Machine, case: str) -> None:
    alter, profile, message = REFUSED[case]
    fit(l40s, alter(HARDWARE["l40s"]))
    before = digest(l40s)
    count = len(HARDWARE["l40s"].boards)
    run = bench.deploy(l40s, BARE.format(count) + profile)
    assert run.code == 1, run.output
    assert len(re.findall(message, run.output)) == 1, run.output
    assert "Traceback" not in run.output
    assert difference(before, digest(l40s)) == {}


def test_nothing_is_installed_while_somebody_else_installs(bench: Bench, l40s: Machine) -> None:
    fit(l40s, HARDWARE["l40s"])
    package_lock.hold(l40s)
    before = digest(l40s)["packages"]
    count = len(HARDWARE["l40s"].boards)
    run = bench.deploy(l40s, BARE.format(count), site=", apt_lock_wait=3")
    assert run.code == 1, run.output
    assert re.search(r"waiting for python3 \(pid \d+\)", run.output), run.output
    assert re.search(r"the package manager is held by python3 \(pid \d+\)", run.output)
    assert digest(l40s)["packages"] == before
    package_lock.release(l40s)


def test_an_installation_that_was_interrupted_is_finished(bench: Bench, l40s: Machine) -> None:
    """The package manager dies while DKMS compiles; the next run says so and goes on."""
    fit(l40s, replace(HARDWARE["l40s"], dkms_seconds=60))
    count = len(HARDWARE["l40s"].boards)
    with bench.started(l40s, BARE.format(count)) as run:
        l40s.ssh("until pgrep -f 'dkm[s] postinst' >/dev/null; do sleep 0.1; done", timeout=300)
        l40s.ssh("systemctl kill --signal=KILL 'modelrack-job-install-driver-*'")
        output = run.communicate(timeout=300)[0]
    assert run.returncode == 1, output
    assert "half-configured" in l40s.ssh("dpkg-query -W -f '${db:Status-Status}\\n'").stdout
    change(l40s, HARDWARE["l40s"])
    again = bench.deploy(l40s, BARE.format(count))
    assert again.code == 0, again.output
    assert "the package manager was interrupted here, finishing its work" in again.output
    assert l40s.ssh("dpkg --audit").stdout == ""
    assert f"Open Kernel Module for x86_64  {DRIVER}  " in l40s.ssh(LOADED).stdout


def test_every_kernel_that_may_be_booted_has_the_module_or_a_reason_is_given(bench: Bench) -> None:
    profile = f"gpu='RTX 4090', gpus={len(HARDWARE['rtx4090'].boards)}"
    # The running kernel's module cannot be compiled.
    machine = bench.machine("kernels", replace(HARDWARE["rtx4090"], headers="broken"))
    run = bench.deploy(machine, profile)
    assert run.code == 1, run.output
    assert "Makefile:1: *** these headers are broken.  Stop." in run.output
    assert "failed in: NVIDIA | Install the driver" in run.output

    # Its headers are not there, and the archive has them; what was left half done is finished.
    fit(machine, replace(HARDWARE["rtx4090"], headers="missing"))
    run = bench.deploy(machine, profile)
    assert run.code == 0, run.output
    assert "the package manager was interrupted here, finishing its work" in run.output
    assert f"  {DRIVER}  " in machine.ssh(LOADED).stdout

    # A newer kernel has none, and the archive neither.
    fit(machine, replace(HARDWARE["rtx4090"], kernels={"99.1.0-1-generic": "missing"}))
    run = bench.deploy(machine, profile)
    assert run.code == 1, run.output
    assert "Unable to locate package linux-headers-99.1.0-1-generic" in run.output
    assert "boot a kernel that the archive has headers for, then run this again" in run.output

    fit(machine, replace(HARDWARE["rtx4090"], kernels={"99.1.0-1-generic": "present"}))
    run = bench.deploy(machine, profile)
    assert run.code == 0, run.output
    assert "building the driver's module for kernel 99.1.0-1-generic" in run.output
    assert machine.ssh("dkms status").stdout.count("installed") == 2
    again = bench.deploy(machine, profile, "--json")
    assert again.changed == []

    fit(machine, replace(HARDWARE["rtx4090"], kernels={"99.2.0-1-generic": "broken"}))
    run = bench.deploy(machine, profile)
    assert run.code == 1, run.output
    assert "Makefile:1: *** these headers are broken.  Stop." in run.output
    assert "try it with: dkms autoinstall -k 99.2.0-1-generic; then run this again" in run.output


def _apt(machine: Machine, *packages: str, version: str = "", options: str = "") -> None:
    names = [f"{name}={version}-*" if version else name for name in packages]
    machine.ssh(f"apt-get -q update; {APT} {options} {' '.join(names)}")


def test_a_tree_gets_the_driver_for_its_own_kernel_and_boots_with_it(
    bench: Bench, done: Done
) -> None:
    """An image is made on a computer without the cards; what stands for them is a unit's facts."""
    folder = bench.folder()
    golden = folder / "unit.json"
    run = bench.deploy(done.machine, H800, "--data", f"output={golden}", deploy="deploys/golden.py")
    assert run.code == 0, run.output
    unit = bench.machine("tree", HARDWARE["h800"])
    unit.stop()
    root = unit.directory / "root"
    rack = bench.rack(unit, f"{H800})\ngolden_unit = Path({str(golden)!r}", "")
    inventory = chroot.inventory(Path(rack.inventory), root)
    command = rack.command("--json")
    command[3] = str(inventory)

    code, output = chroot.run_beside(root, command, PROJECT)
    assert code == 0, output
    again, output = chroot.run_beside(root, command, PROJECT)
    assert again == 0, output
    assert '"no_change": false' not in output, output
    record = (root / "var/lib/modelrack/state.json").read_text()
    assert os.uname().nodename not in record and bench.url not in record

    unit.start()
    assert f"  {DRIVER}  " in unit.ssh(LOADED).stdout
    first = bench.deploy(unit, H800, "--json")
    assert first.code == 0, first.output
    assert not [each for each in first.changed if each.startswith("NVIDIA | ")], first.changed
