"""Machines without a way out: from a bundle on a web server, and from one on their own disk.

The tests are one story: each begins with what the one before it has left.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

from tests.e2e.rack import run
from tests.e2e.vendor import Line
from tests.lab import disk_image
from tests.lab.tiny_model import ANSWER

OLLAMA = """
kept = profile
profile = replace(
    profile, services=(replace(profile.services[0], engine="ollama", merge=None),)
)
"""
FROM_DISK = """
_elsewhere = site
site = replace(site, mirrors=BUNDLE({disk!r}), bundle=None)
"""
BATCH = """
image = "image/tiny.raw.zst"
class = "sandbox"
signers = "signers"
key = "vendor"
reports = "reports"
ssh_key = "{key}"
inventories = "site/inventories"

[unit.MR-0001]
disk = "{disk}"
address = "{address}"
"""


def test_the_machine_answers_and_has_asked_nobody_else(line: Line) -> None:
    done = line.rack.deploy("--json")
    assert done.code == 0, done.output
    assert line.rack.ask().startswith("{") and ANSWER in line.rack.ask()
    again = line.rack.deploy("--json")
    assert again.code == 0 and again.changed == [], again.output
    assert line.served(".deb") and line.served(".gguf")
    assert "counter packets 0 bytes 0" in line.elsewhere(line.machine)


def test_what_the_bundle_lacks_is_refused_while_planning(line: Line) -> None:
    line.rack.add(OLLAMA)
    refused = line.rack.deploy("--dry")
    line.rack.add("profile = kept")
    assert refused.code == 1
    assert "The bundle lacks ollama/" in refused.output


def test_coreutils_and_openssh_find_it_whole(line: Line) -> None:
    whole = subprocess.run(
        ["sha256sum", "--quiet", "--strict", "-c", "MANIFEST"],
        cwd=line.bundle,
        text=True,
        capture_output=True,
    )
    assert whole.returncode == 0, whole.stdout
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(line.signers), "-I", "vendor"]
    with (line.bundle / "MANIFEST").open("rb") as manifest:
        signed = subprocess.run(
            [*verify, "-n", "modelrack-bundle", "-s", "MANIFEST.sig"],
            cwd=line.bundle,
            stdin=manifest,
            capture_output=True,
        )
    assert signed.returncode == 0, signed.stderr
    assert line.seal("check", str(line.bundle), "--signers", str(line.signers)).code == 0


def test_a_disk_that_is_not_there_is_refused_while_planning(line: Line) -> None:
    line.rack.point_to([line.appliance], line.rack.told["hub"], line.rack.told["github"])
    line.rack.add(FROM_DISK.format(disk=str(line.disk)))
    refused = line.rack.deploy("--dry")
    assert refused.code == 1
    assert f"There is no bundle in {line.disk} of this machine" in refused.output
    line.rack.point_to([line.machine], line.rack.told["hub"], line.rack.told["github"])
    line.rack.add("site = _elsewhere")


def test_a_unit_goes_down_the_line_and_is_as_new(line: Line) -> None:
    folder, unit = line.signers.parent, line.machine
    disk_image.publish(folder / "image", folder / "vendor")
    table = folder / "batch.toml"
    go_on = [sys.executable, "-m", "deploys.line", str(table), "--yes"]
    with disk_image.disk(folder / "unit.disk") as disk:
        table.write_text(BATCH.format(key=unit.key, disk=disk, address="192.0.2.1"))
        written = run(go_on)
        assert written.code == 1 and "waits to be switched on and tested" in written.stdout
    # Its disk is in the unit by now, which answers.
    table.write_text(BATCH.format(key=unit.key, disk=disk, address=unit.address))
    unit.hang_up()
    done = run(go_on)
    assert done.code == 0, done.output
    report = json.loads((folder / "reports/MR-0001.json").read_text())
    assert report["test"]["passed"] and len(report["test"]["checks"]) > 10
    assert report["macs"] and report["seal"]["removed"] > 10
    deadline = time.monotonic() + 120
    while unit.is_running():
        assert time.monotonic() < deadline, "it was not switched off"
        time.sleep(0.5)
    root = unit.directory / "root"
    assert (root / "etc/machine-id").read_text() == "uninitialized\n"
    assert not [*root.glob("etc/ssh/ssh_host_*"), *root.glob("root/.ssh")]
    logs = (root / "var/log").rglob("*")
    assert not [path for path in logs if path.is_file() and not path.is_symlink()]
    again = run(go_on)
    assert again.code == 0 and "1 of 1 units are done" in again.stdout
    # Nobody is let in by what the line had: the next boot is a first one.
    unit.start(wait=False)
    while (root / "etc/machine-id").read_text() == "uninitialized\n":
        assert time.monotonic() < deadline + 120, "it has no identity of its own"
        time.sleep(0.5)
