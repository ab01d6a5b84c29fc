"""A machine from its first deploy to its last trace; the tests are one story."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.digest import whole
from tests.e2e.drifts import DEEP, FOLLOWS, QUICK
from tests.e2e.rack import Rack
from tests.e2e.whole_life import AUDIT, UNINSTALL, audit, differences, ends_as_it_began

GATEWAY = """\
from deploys.planning.inputs.gateway import Gateway
site = replace(site, secrets=_folder / "secrets")
profile = replace(profile, gateway=Gateway(host="ai.lab", keys=_folder / "keys.toml"))
"""
KEYS = f'[[key]]\nuser = "alice"\nteam = "lab"\nsha256 = "{"a" * 64}"\n'
MINE = "/etc/systemd/system/llama-server@tiny.service.d"
FOR_NOW = "/run/systemd/system/modelrack-gateway.service.d"
CERTIFICATE = "/etc/modelrack/gateway/gateway.pem"
TAKEN_AWAY = "Take modelrack off this machine"


class Story(Rack):
    """The rack, and what its machine was before the first deploy."""

    before: dict[str, object]
    certificate: str

    @property
    def backups(self) -> Path:
        return self.folder / ".lab/sandbox/backups"


@pytest.fixture(scope="module")
def rack(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Story]:
    lab = lab_factory(1, name="lifecycle")
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = Story(lab, hub, github, tmp_path_factory.mktemp("lifecycle"), GATEWAY)
    (rack.folder / ".lab/sandbox/keys.toml").write_text(KEYS)
    rack.before = whole(rack.machines[0])
    first = rack.deploy()
    assert first.code == 0, first.output
    yield rack


def test_nothing_is_other_on_a_clean_machine(rack: Rack) -> None:
    machine = rack.machines[0]
    second = rack.deploy("--json", "--debug")
    assert second.changed == []
    machine.ssh("touch /run/stamp; sleep 0.1")
    quick = rack.deploy("--debug", "--data", "format=json", deploy=AUDIT)
    assert differences(quick) == []
    # It does not hold the lock, so it is one question in its place and one beside it.
    assert quick.commands <= second.commands + 1
    assert audit(rack, "--data", "deep=true") == []
    assert written(rack) == []


def written(rack: Rack) -> list[str]:
    """What has been written since the stamp, but for who has logged in."""
    newer = "find / -xdev -cnewer /run/stamp -not -path '/var/log/*' -not -path '/tmp' -not -type d"
    return rack.machines[0].ssh(newer, check=False).stdout.splitlines()


def test_what_nobody_sees_who_reads_no_content_is_found_deep(rack: Rack) -> None:
    for drift in DEEP:
        rack.machines[0].ssh(["sh", "-c", drift.typed])
    assert audit(rack) == []
    found = audit(rack, "--data", "deep=true")
    for drift in DEEP:
        assert [each for each in found if drift.said in each], (drift.said, found)
    assert len(found) == len(DEEP)


def test_each_of_thirty_drifts_is_found_and_nothing_else(rack: Rack) -> None:
    machine = rack.machines[0]
    for drift in QUICK:
        machine.ssh(["sh", "-c", drift.typed])
    assert len(QUICK) >= 30
    machine.ssh("touch /run/stamp; sleep 0.1")
    found = audit(rack)
    assert written(rack) == []
    missed = [each.said for each in QUICK if not any(each.said in said for said in found)]
    assert missed == [], found
    words = [*(each.said for each in QUICK), *FOLLOWS]
    assert [said for said in found if not any(each in said for each in words)] == []


def test_a_person_reads_the_same(rack: Rack) -> None:
    seen = rack.deploy(deploy=AUDIT)
    assert seen.code == 1
    assert "differences from its plan" in seen.stdout
    for drift in QUICK:
        assert drift.said in seen.stdout


def test_a_deploy_puts_right_what_is_planned_and_leaves_what_is_not(rack: Story) -> None:
    done = rack.deploy()
    assert done.code == 0, done.output
    found = audit(rack)
    assert all("no plan has" in each or "port 9999" in each for each in found), found
    assert len(found) >= 6


def test_a_backup_is_one_file_for_its_owner_alone(rack: Story) -> None:
    machine = rack.machines[0]
    refused = rack.deploy(deploy="deploys/backup.py")
    assert refused.code == 1
    assert "Add --data output=backups" in refused.output
    rack.certificate = machine.ssh(f"sha256sum {CERTIFICATE}").stdout
    # Once more, as every night: it replaces the file.
    for _ in range(2):
        done = rack.deploy("--data", f"output={rack.backups}", deploy="deploys/backup.py")
        assert done.code == 0, done.output
        (file,) = rack.backups.iterdir()
        assert (file.name, file.stat().st_mode & 0o777) == ("lifecycle1.tar.gz", 0o600)
    assert machine.ssh("ls /var/lib/modelrack/kept*", check=False).stdout == ""


def test_uninstalling_leaves_weights_and_says_so(rack: Story) -> None:
    done = rack.deploy("--json", deploy=UNINSTALL)
    assert done.code == 0, done.output
    assert done.changed == [TAKEN_AWAY]
    assert "/data/models/tiny-qwen2 stays: --data weights=true" in done.stderr
    assert f"{MINE}/mine.conf adds to a unit that is gone" in done.stderr
    assert rack.machines[0].ssh("ls /data/models/tiny-qwen2/*.gguf").stdout
    assert rack.deploy("--json", deploy=UNINSTALL).changed == []


def test_the_machine_is_then_what_it_was_before_the_first_deploy(rack: Story) -> None:
    machine = rack.machines[0]
    # What somebody else has put there is not ours to take away.
    machine.ssh(f"systemctl stop stranger; rm -r /data/models/old {MINE} {FOR_NOW}")
    ends_as_it_began(rack, rack.before)


def test_a_bare_machine_has_the_keys_of_the_backup_after_one_deploy(rack: Story) -> None:
    machine = rack.machines[0]
    rack.add('site = replace(site, restore=_folder / "backups")')
    done = rack.deploy("--json")
    assert done.code == 0, done.output
    assert "Backup | Put back keys, certificates and data" in done.changed
    assert machine.ssh(f"sha256sum {CERTIFICATE}").stdout == rack.certificate
    assert machine.ssh("ls /var/lib/modelrack/kept*", check=False).stdout == ""
    assert rack.deploy("--json").changed == []
    assert audit(rack) == []
