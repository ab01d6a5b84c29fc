"""Machines without a way out: from a bundle on a web server, and from one on their own disk.

The tests are one story: each begins with what the one before it has left.
"""

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
from tests.e2e.versions import CRASHES, Versions, first_of
from tests.lab import Lab, Machine
from tests.lab.archive import Archive
from tests.lab.http_server import Reply, StandIn
from tests.lab.hub import Hub
from tests.lab.tiny_model import ANSWER

SITE = """
_sources = replace(site.mirrors, debian={debian!r}, debian_security={security!r})
site = replace(site, mirrors=_sources)
"""
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
        self.rack.add("site = replace(site, mirrors=_sources, bundle=None)")
        made = self.rack.deploy(*told, deploy="deploys/bundle.py")
        assert made.code == 0, made.output
        key = self.signers.with_name("vendor")
        assert self.seal("sign", str(self.bundle), "--key", str(key)).code == 0
        self.plug_in()

    def update(self) -> Run:
        """The appliance updates itself, as somebody types it there."""
        command = f"python3 {self.disk}/appliance/modelrack.pyz update tiny {self.disk}"
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
    key, signers, bundle = folder / "vendor", folder / "signers", folder / "bundle"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers.write_text(f"vendor {key.with_suffix('.pub').read_text()}")
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


@pytest.fixture(scope="module")
def versions(line: Line) -> Versions:
    return first_of(line.rack)


def test_an_appliance_deploys_itself_from_its_disk_alone(line: Line) -> None:
    line.make()
    nobody = line.appliance.ssh(
        f"python3 {line.disk}/appliance/modelrack.pyz update tiny {line.disk}", check=False
    )
    assert nobody.returncode == 1 and "there is no /etc/modelrack/signers" in nobody.stderr
    line.appliance.ssh("mkdir -p /etc/modelrack")
    line.appliance.ssh("cat > /etc/modelrack/signers", stdin=line.signers.read_text())
    done = line.update()
    assert done.code == 0, done.output
    line.served_by()
    assert "counter packets 0 bytes 0" in line.elsewhere(line.appliance)


def test_an_appliance_takes_another_version_from_its_disk(line: Line, versions: Versions) -> None:
    two = versions.pin("two")
    line.make()
    done = line.update()
    assert done.code == 0, done.output
    assert line.served_by() == two


def test_what_does_not_serve_is_taken_back(line: Line, versions: Versions) -> None:
    before = line.served_by()
    broken = versions.pin("three", CRASHES)
    line.make()
    failed = line.update()
    assert failed.code == 1
    assert f"does not serve as planned with llama.cpp {broken}" in failed.output
    assert f"answers, as before the update, with llama.cpp {before}" in failed.output
    assert line.served_by() == before


def test_what_nobody_has_signed_is_not_taken(line: Line) -> None:
    tar = line.disk / "appliance/tiny/modelrack.tar"
    content = tar.read_bytes()
    tar.unlink()  # It is one file with that of the bundle.
    tar.write_bytes(content[:-1] + b"x")
    refused = line.update()
    assert refused.code == 1
    assert "appliance/tiny/modelrack.tar is not what was signed" in refused.output
