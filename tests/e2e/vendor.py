"""A vendor's line in the lab: where bundles are made and served, and machines that have them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.rack import Rack, Run, run
from tests.lab import Lab, Machine, ssh_key
from tests.lab.archive import Archive
from tests.lab.http_server import Reply, StandIn
from tests.lab.hub import Hub
from tests.lab.tiny_model import ANSWER

SITE = """
mirrors = replace(site.mirrors, debian={debian!r}, debian_security={security!r})
site = _sources = replace(site, mirrors=mirrors)
del mirrors
"""
FROM_BUNDLE = """
from deploys.planning.inputs.site import BUNDLE
site = replace(site, mirrors=BUNDLE({url!r}), bundle=Path({folder!r}))
"""

COUNT = """
table inet lab_elsewhere {{
  chain out {{
    type filter hook output priority 0;
    oifname "lo" accept
    {but}
    meta l4proto icmpv6 accept
    counter comment "elsewhere"
  }}
}}
"""


class Folder(StandIn):
    """A folder as any web server has it; a folder's page is its index.html."""

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        name = path.strip("/")
        file = self.root / name
        if file.is_dir():
            file = file / "index.html"
        if ".." in Path(name).parts or not file.is_file():
            return Reply(name, 404)
        kind = "text/html" if file.suffix == ".html" else "application/octet-stream"
        return Reply(name, file=file, headers={"Content-Type": kind})


@dataclass
class Line:
    """A vendor's line: where bundles are made, the machines, and how what they send is counted.

    + machine: takes all from the web server; appliance: from its own disk
    + disk: what the machines have as a disk, empty as long as none is plugged in
    """

    rack: Rack
    machine: Machine
    appliance: Machine
    bundle: Path
    disk: Path
    signers: Path
    server: Folder

    def seal(self, *words: str) -> Run:
        return run([sys.executable, "-m", "deploys.seal", *words])

    def served(self, ending: str) -> int:
        """How many files of a kind the bundle's server has given out."""
        return sum(request.path.endswith(ending) for request in self.server.requests)

    def plug_in(self) -> None:
        """The disk has the bundle from now on, as it was sealed last."""
        for each in self.disk.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        shutil.copytree(self.bundle, self.disk, copy_function=os.link, dirs_exist_ok=True)

    def make(self) -> None:
        """Make the bundle again, with what the appliance updates itself by."""
        told = ("--data", f"output={self.bundle}", "--data", "appliance=tiny")
        self.rack.add("site = replace(site, mirrors=_sources.mirrors, bundle=None)")
        made = self.rack.deploy(*told, deploy="deploys/bundle.py")
        assert made.code == 0, made.output
        key = self.signers.with_name("vendor")
        assert self.seal("sign", str(self.bundle), "--key", str(key)).code == 0
        self.plug_in()

    def update(self, program: str = "/opt/modelrack/bin/modelrack.pyz") -> Run:
        """The appliance updates itself, as somebody types it there."""
        command = f"python3 {program} update tiny {self.disk}"
        done = self.appliance.ssh(command, check=False)
        return Run(done.returncode, done.stdout, done.stderr)

    def served_by(self) -> str:
        """The version whose program runs on the appliance; it answers."""
        program = self.appliance.ssh(
            'readlink "/proc/$(systemctl show --value -p MainPID llama-server@tiny)/exe"'
        ).stdout
        question = '{"messages": [{"role": "user", "content": "Hello"}], "temperature": 0}'
        url = "http://127.0.0.1:8080/v1/chat/completions"
        assert ANSWER in self.appliance.ssh(f"curl -s {url} --json '{question}'").stdout
        return program.split("/")[-3]

    def elsewhere(self, machine: Machine) -> str:
        """What a machine has sent to others than it may, as nftables counts it."""
        return self._nft(machine, "list", "table", "inet", "lab_elsewhere")

    def count(self, machine: Machine, but: str) -> None:
        self._nft(machine, "-f", "-", rules=COUNT.format(but=but))

    def _nft(self, machine: Machine, *words: str, rules: str = "") -> str:
        namespace = machine.network.namespace(machine.index)
        command = ["ip", "netns", "exec", namespace, "nft", *words]
        done = subprocess.run(command, input=rules, text=True, capture_output=True, check=True)
        return done.stdout


@pytest.fixture(scope="module")
def line(
    lab_factory: Callable[..., Lab],
    lab_hub: Hub,
    lab_github: StandIn,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Line]:
    folder = tmp_path_factory.mktemp("line")
    disk = folder / "disk"
    disk.mkdir()
    # pytest's own folders are for its user alone, and apt's is another one.
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    lab = lab_factory(["web", "appliance"], name="bundle", air_gapped=True, binds=[str(disk)])
    key = ssh_key.signer(folder, "vendor")
    signers, bundle = folder / "signers", folder / "bundle"
    rack = Rack(lab, lab_hub.listen(lab.host), lab_github.listen(lab.host), folder / "site")
    web, appliance = lab.machines
    rack.point_to([web], rack.told["hub"], rack.told["github"])
    with (
        Archive(folder / "debian") as debian,
        Archive(folder / "security", security=True) as security,
    ):
        rack.add(SITE.format(debian=debian.url, security=security.url))
        made = rack.deploy("--data", f"output={bundle}", deploy="deploys/bundle.py")
        assert made.code == 0, made.output
        with Folder(bundle) as server:
            place = Line(rack, web, appliance, bundle, disk, signers, server)
            assert place.seal("sign", str(bundle), "--key", str(key)).code == 0
            url = server.listen(lab.host)
            rack.add(FROM_BUNDLE.format(url=url, folder=str(bundle)))
            rack.add(f"site = replace(site, signers=Path({str(signers)!r}))")
            place.count(web, f"ip daddr {lab.host} accept")
            place.count(appliance, "tcp sport 22 accept")
            yield place
