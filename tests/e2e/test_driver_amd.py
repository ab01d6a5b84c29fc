"""AMD's driver on a machine whose cards are scripted: apt, systemd and the key are real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml

from tests.e2e.rack import Rack
from tests.lab import Lab, Machine
from tests.lab.amd_repository import MODULE, repositories
from tests.lab.classes import HARDWARE
from tests.lab.hardware import fit
from tests.lab.nvidia_repository import NvidiaRepository, connect


def test_a_bare_machine_becomes_a_right_one_and_stays_it(
    lab_factory: Callable[..., Lab], lab_nvidia: NvidiaRepository, tmp_path: Path
) -> None:
    lab = lab_factory(["mi300x"], name="amd")
    (machine,) = lab.machines
    connect(machine, lab_nvidia.listen(lab.host), "ubuntu")
    fit(machine, HARDWARE["mi300x"])
    # udev brings it, which a container does without.
    machine.ssh("groupadd --system render")
    key = repositories(tmp_path / "amd")
    # It serves files, whoever signed them.
    with NvidiaRepository(tmp_path / "amd") as repository:
        rack = _rack(lab, repository.listen(lab.host), key, tmp_path / "rack")
        first = rack.deploy()
        assert first.code == 0, first.output
        assert "not run by us on such hardware" in first.output
        second = rack.deploy("--json")
    _is_right(machine)
    changed = [each for each in second.operations if each["success"] and not each["no_change"]]
    assert second.code == 0 and not changed, second.output


def _rack(lab: Lab, url: str, key: str, folder: Path) -> Rack:
    extra = (
        f"site = replace(site, mirrors=replace(site.mirrors, rocm={url!r}))\n"
        "profile = HostProfile(gpu='MI300X', gpus=8)\n"
    )
    folder.mkdir()
    rack = Rack(lab, "", "", folder, extra)
    pin = {"version": "lab", "origin": "rocm", "path": "rocm/rocm.gpg.key", "sha256": key}
    locks = folder / ".lab/sandbox/locks/artifacts.yaml"
    locks.parent.mkdir(parents=True)
    locks.write_text(yaml.safe_dump({"rocm-key": pin}))
    return rack


def _is_right(machine: Machine) -> None:
    assert machine.ssh("cat /sys/module/amdgpu/version").stdout.strip() == MODULE
    held = {*machine.ssh("apt-mark showhold").stdout.split()}
    assert held == {"amdgpu-dkms", "amdgpu-dkms-firmware"}
    assert {"render", "video"} <= {*machine.ssh("id -nG modelrack").stdout.split()}
    assert machine.ssh("stat -c %a /etc/apt/keyrings/rocm-*.asc").stdout == "644\n"
    assert "trusted" not in machine.ssh("cat /etc/apt/sources.list.d/amdgpu.list").stdout
