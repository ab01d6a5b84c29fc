"""An appliance's image as a vendor makes it, and units that boot copies of it under UEFI.

A unit is let in by its firmware: systemd takes `ssh.authorized_keys.root` from there, so that what
is tested are the bytes that are shipped, with no key in them.
"""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.rack import PROJECT, Run, run
from tests.lab import ssh_key
from tests.lab.process import LabError
from tests.vm import tools
from tests.vm.qemu import PATIENCE, Qemu

NAME = "rack"
HOST = "models.lab"
MEMORY = 1536
# What a translated processor has, as deploys/golden.py would write it of a unit.
GOLDEN = {
    "architecture": "x86_64",
    "cpu": "QEMU",
    "isa": "x86-64-v3",
    "features": [],
    "cores": 1,
    "numa_nodes": 1,
    "nodes": [{"index": 0, "cores": 1, "memory": MEMORY << 20}],
    "memory": MEMORY << 20,
    "gpus": [],
    "links": [],
    "nvswitches": 0,
    "secure_boot": False,
}
_EXTRA = f"""
profile = replace(profile, gateway=Gateway(host={HOST!r}, keys=_folder / "nobody.toml"))
"""


@dataclass
class Vendor:
    """Who makes images: a folder with an inventory, a golden unit and a key.

    + folder: an empty one
    + hub, github: where weights and sources come from
    """

    folder: Path
    hub: str
    github: str

    def __post_init__(self) -> None:
        for name in ("sandbox.py", "group_data/all.py", "group_data/sandbox.py"):
            target = self.folder / "inventories" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / "inventories" / name, target)
        with (self.folder / "inventories/group_data/sandbox.py").open("a") as data:
            data.write(_EXTRA)
        told = self.folder / ".lab/sandbox"
        told.mkdir(parents=True)
        machine = {"name": "golden", "address": "192.0.2.1", "key": "", "known_hosts": ""}
        about = {"machines": [machine], "hub": self.hub, "github": self.github}
        (told / "lab.json").write_text(json.dumps(about))
        (told / "nobody.toml").write_text("# Each unit makes a key of its own.\n")
        (self.folder / "unit.json").write_text(json.dumps(GOLDEN))
        ssh_key.signer(self.folder, "vendor")

    @property
    def key(self) -> Path:
        return self.folder / "vendor"

    def make(self, output: Path, *options: str) -> Run:
        """The image, as a vendor types it."""
        return run(
            [
                *(sys.executable, "-m", "deploys.image"),
                str(self.folder / "inventories/sandbox.py"),
                *("--golden", str(self.folder / "unit.json"), "--key", str(self.key)),
                *("--name", NAME, "--kernel", "linux-image-cloud-amd64"),
                *("--output", str(output), *options),
            ]
        )


@dataclass
class Unit:
    """One unit with a disk of its own, larger than the image.

    + folder: an empty one
    + image: raw; nobody writes to it
    """

    folder: Path
    image: Path
    serial: str
    size: str = "6G"
    qemu: Qemu = field(init=False)
    ports: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.key = ssh_key.make(self.folder / "key", "line")
        self.ports = {inside: _free_port() for inside in (22, 443)}
        forwarded = "".join(
            f",hostfwd=tcp:127.0.0.1:{here}-:{inside}" for inside, here in self.ports.items()
        )
        about = f"type=1,manufacturer=modelrack,product=rack,serial={self.serial}"
        self.qemu = Qemu(
            self.folder,
            network=f"user{forwarded}",
            firmware="uefi",
            memory=MEMORY,
            credentials={"ssh.authorized_keys.root": self.key.with_suffix(".pub").read_text()},
            more=("-smbios", about),
        )
        self.qemu.lay_over(self.image)
        grown = [*tools.program("qemu-img"), "resize", "-q", str(self.qemu.disk), self.size]
        subprocess.run(grown, check=True)

    def ssh(self, command: str, *, check: bool = True) -> str:
        """What a command prints."""
        options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        words = [word for option in (*options, "BatchMode=yes") for word in ("-o", option)]
        where = ["-p", str(self.ports[22]), "-i", str(self.key), "root@127.0.0.1"]
        done = subprocess.run(
            ["ssh", "-F", "none", *words, "-o", "ConnectTimeout=60", *where, command],
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise LabError(f"{command}: {done.stderr}\n{self.qemu.console()[-3000:]}")
        return done.stdout

    def tested(self) -> dict[str, Any]:
        """What its self-test has found in this boot."""
        known = "/var/lib/modelrack/unit/self-test.json"
        # It is written in each boot, after whatever is asked for here.
        fresh = f"test {known} -nt /run/systemd/system && cat {known}"
        deadline = time.monotonic() + 2 * PATIENCE
        while not (found := self.ssh(fresh, check=False)):
            if not self.qemu.is_running() or time.monotonic() > deadline:
                raise LabError(f"no self-test:\n{self.qemu.console()[-5000:]}")
            time.sleep(2)
        result: dict[str, Any] = json.loads(found)
        return result

    def identity(self) -> dict[str, str]:
        """All that no other unit has, and that stays; keys by their sums."""
        asked = {
            "machine id": "cat /etc/machine-id",
            "name": "cat /etc/hostname",
            "host keys": "sha256sum /etc/ssh/ssh_host_*_key",
            "key": "sha256sum /etc/modelrack/secrets/unit-key",
            "certificate": "sha256sum /etc/modelrack/gateway/gateway.pem",
            "let in": "cat /etc/modelrack/gateway/keys.map",
            "serial": "cat /sys/class/dmi/id/product_serial",
        }
        return {name: self.ssh(command) for name, command in asked.items()}

    def ask(self, key: str | None = None) -> tuple[int, dict[str, Any]]:
        """What its door answers to a question, asked as a client that trusts its certificate."""
        whom = self.folder / "unit.pem"
        whom.write_text(self.ssh("openssl x509 -in /etc/modelrack/gateway/gateway.pem"))
        trust = ssl.create_default_context(cafile=str(whom))
        key = key or self.ssh("cat /etc/modelrack/secrets/unit-key").strip()
        door = http.client.HTTPSConnection(
            "localhost", self.ports[443], context=trust, timeout=PATIENCE
        )
        question = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        body = json.dumps({**question, "max_tokens": 8})
        door.request("POST", "/v1/chat/completions", body, headers)
        answer = door.getresponse()
        return answer.status, json.loads(answer.read())

    def off(self) -> None:
        """Shut it down in order."""
        self.ssh("systemctl poweroff", check=False)
        if not self.qemu.wait(PATIENCE):
            self.qemu.kill()


def unpack(image: Path, to: Path) -> Path:
    """The disk that an image is, as a sparse file."""
    subprocess.run(["zstd", "-q", "-d", "--sparse", str(image), "-o", str(to)], check=True)
    return to


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
