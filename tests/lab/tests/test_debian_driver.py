"""Debian's own driver packages do what the stand-ins of NVIDIA's do, as far as a test can see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.lab import Lab
from tests.lab.classes import HARDWARE
from tests.lab.debian_driver import MODULE, USER_SPACE, compile_module, enable, install
from tests.lab.hardware import fit

HARDWARE_HERE = replace(HARDWARE["rtx4090"], system=None, headers="missing")


def test_user_space_fails_without_a_module_and_dkms_skips_a_kernel_without_headers(
    lab_factory: Callable[..., Lab],
) -> None:
    (machine,) = lab_factory(["debian"], name="driver").machines
    fit(machine, HARDWARE_HERE)
    enable(machine)
    assert "was skipped since the" in install(machine, *USER_SPACE, MODULE)
    answer = machine.ssh("nvidia-smi", check=False)
    assert answer.returncode == 9
    assert "couldn't communicate with the NVIDIA driver" in answer.stdout
    library = machine.ssh("readlink -f /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1").stdout
    version = library.strip().partition(".so.")[2]
    assert version.startswith("535.")
    assert machine.ssh("dkms status").stdout == f"nvidia-current/{version}: added\n"
    assert machine.ssh("modprobe nvidia", check=False).returncode == 1


@pytest.mark.parametrize(("suite", "branch"), [("bookworm", "535."), ("trixie", "550.")])
def test_the_module_compiles_for_debians_kernel(
    request: pytest.FixtureRequest, lab_factory: Callable[..., Lab], suite: str, branch: str
) -> None:
    if not request.config.getoption("--compile-driver"):
        pytest.skip("takes minutes, and runs with --compile-driver")
    (machine,) = lab_factory(["compile"], name="driver", suite=suite).machines
    fit(machine, HARDWARE_HERE)
    enable(machine)
    install(machine, *USER_SPACE, MODULE)
    kernel = compile_module(machine)
    status = machine.ssh("dkms status").stdout
    assert f"{kernel}, x86_64: installed" in status
    built = f"/lib/modules/{kernel}/updates/dkms/nvidia-current.ko"
    assert machine.ssh(f"modinfo -F version {built}*").stdout.startswith(branch)
