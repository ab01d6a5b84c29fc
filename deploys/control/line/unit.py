"""A unit that is switched on: reached by SSH, tested as any machine is, and sealed again."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from deploys.connection import programs
from deploys.planning.image import sealing
from deploys.planning.inputs.refusal import Refusal

_PROJECT = Path(__file__).resolve().parents[3]
_TESTS = "tests/machine"
# Where a unit writes what its own test has found.
_SELF_TEST = "/var/lib/modelrack/unit/self-test.json"
# Seconds that a unit may take to say who it is.
_ANSWERS = 5
# What only a unit that was booted has, beside what a tree may have.
_OF_A_BOOT = (
    *("var/lib/modelrack/unit", "etc/issue.d/modelrack.issue", "var/lib/modelrack/services/*"),
    *("var/lib/systemd/timers/*", "var/lib/systemd/linger/*"),
)
# Prints the addresses of a unit's network cards, the serial numbers of its disks, and its own, as
# its firmware has it. In a container no card is a device.
_ASKED = """\
cards=; all=
for each in /sys/class/net/*; do
  [ "$(cat $each/type)" = 1 ] || continue
  all="$all $(cat $each/address)"
  [ -e $each/device ] && cards="$cards $(cat $each/address)"
done
echo "${cards:-$all}"
echo $(lsblk -dno SERIAL)
cat /sys/class/dmi/id/product_serial 2>/dev/null || echo
"""


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How a unit is reached while it is tested.

    + known_hosts: file with the host key that it has shown
    """

    serial: str
    address: str
    key: Path | None
    known_hosts: Path

    def ssh(self, *words: str, content: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command there as root."""
        settings = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"ConnectTimeout={_ANSWERS}"]
        settings += [f"UserKnownHostsFile={self.known_hosts}", "LogLevel=ERROR"]
        how = [word for each in settings for word in ("-o", each)]
        if self.key:
            how += ["-o", "IdentitiesOnly=yes", "-i", str(self.key)]
        command = ["ssh", *how, f"root@{self.address}", *words]
        return subprocess.run(command, input=content, capture_output=True, text=True)


def reach(serial: str, address: str, key: Path | None, known_hosts: Path) -> Reached | None:
    """Return a unit that answers; None if nothing does. Raise Refusal if it lets nobody in."""
    asked = ["ssh-keyscan", "-T", str(_ANSWERS), "-t", "ed25519", address]
    shown = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    if not shown.strip():
        return None
    known_hosts.write_text(shown)
    unit = Reached(serial=serial, address=address, key=key, known_hosts=known_hosts)
    done = unit.ssh("true")
    if done.returncode:
        raise Refusal(
            f"{serial} at {address} does not let the line in: {done.stderr.strip()}",
            "Give it the public half of ssh_key for its test, as a credential of its firmware"
            " (ssh.authorized_keys.root) or on its console",
        )
    return unit


def identity(unit: Reached, disk: str | None) -> dict[str, Any]:
    """Return the addresses of a unit's network cards, and the serial number of its firmware.

    + disk: serial number of the disk that was written for it

    Raise Refusal if the unit at this address has another disk, so is another unit.
    """
    done = unit.ssh("sh", "-s", content=_ASKED)
    if done.returncode:
        raise Refusal(f"{unit.serial} does not say who it is: {done.stderr.strip()}", "Try again")
    cards, disks, *firmware = [line.strip() for line in done.stdout.splitlines()]
    if disk and disks and disk not in disks.split():
        raise Refusal(
            f"The unit at {unit.address} has disks {disks}, and {unit.serial} is on {disk}",
            "Give it the address of this unit, or write its own disk",
        )
    return {"macs": sorted({*cards.split()}), "firmware_serial": "".join(firmware) or None}


def test(unit: Reached, host_class: str, inventories: Path | None) -> dict[str, Any]:
    """Test a unit with what tests any machine of its class; return what came of it."""
    data = (inventories or _PROJECT / "inventories") / "group_data"
    if not (_PROJECT / _TESTS).is_dir():
        raise Refusal(f"{_TESTS} is not here", "Run the line from a copy of the whole project")
    if not (data / f"{host_class}.py").is_file():
        raise Refusal(
            f"{data} has no {host_class}.py", "Name a class, or the folder inventories of yours"
        )
    with tempfile.TemporaryDirectory(prefix="modelrack-line-") as work:
        inventory = Path(work) / f"{host_class}.py"
        (Path(work) / "group_data").symlink_to(data.resolve())
        inventory.write_text(_inventory(unit))
        result = Path(work) / "result.xml"
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", _TESTS),
            *("--inventory", str(inventory), f"--junitxml={result}"),
        ]
        done = subprocess.run(
            command, cwd=_PROJECT, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if not result.exists():
            said = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
            raise Refusal(f"{unit.serial} cannot be tested: {said[-1]}", "Correct that, try again")
        checks = _checks(result)
    own = _of_itself(unit)
    failed = done.returncode != 0 or not checks or any(each["result"] == "failed" for each in own)
    return {"by": _TESTS, "passed": not failed, "checks": [*own, *checks]}


def _of_itself(unit: Reached) -> list[dict[str, str]]:
    """Return what the unit's own test at its boot has found, if its image has one."""
    told = unit.ssh("cat", _SELF_TEST)
    if told.returncode:
        return []
    problems = "; ".join(json.loads(told.stdout)["problems"])
    check = {"name": "self-test of the unit", "result": "failed" if problems else "passed"}
    return [{**check, **({"why": problems} if problems else {})}]


def _inventory(unit: Reached) -> str:
    data: dict[str, Any] = {
        "ssh_hostname": unit.address,
        "ssh_user": "root",
        "ssh_known_hosts_file": str(unit.known_hosts),
    }
    if unit.key:
        data["ssh_key"] = str(unit.key)
    return f"hosts = [({unit.serial!r}, {data!r})]\n"


def _checks(result: Path) -> list[dict[str, str]]:
    found = []
    for case in ElementTree.parse(result).getroot().iter("testcase"):
        check = {"name": case.get("name", ""), "result": "passed"}
        for child in case:
            if child.tag in ("failure", "error", "skipped"):
                check["result"] = "skipped" if child.tag == "skipped" else "failed"
                check["why"] = (child.get("message") or "").partition("\n")[0]
        found.append(check)
    return found


def seal(unit: Reached) -> dict[str, Any]:
    """Take all that its test has left from a unit, and switch it off; return what was done."""
    patterns = (*sealing.IDENTITY, *sealing.SECRETS, *sealing.TRACES, *_OF_A_BOOT)
    told = {
        # What is in memory goes when it is switched off.
        "remove": [each for each in patterns if not each.startswith("run/")],
        "rewrite": {name: text for name, text in sealing.REWRITTEN.items() if text is not None},
        "empty": [sealing.LOGS],
    }
    program = programs.inline("unit.reseal").get_raw_value()
    done = unit.ssh(program, content=json.dumps(told))
    if done.returncode:
        raise Refusal(
            f"{unit.serial} cannot be sealed: {done.stderr.strip()}",
            "Write its disk again with deploys/flash.py",
        )
    sealed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return sealed
