"""A machine without a way out, from a bundle on a web server to an answered question."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.rack import Rack, Run, run
from tests.lab import Lab, Machine
from tests.lab.archive import Archive
from tests.lab.http_server import Reply, StandIn
from tests.lab.hub import Hub
from tests.lab.tiny_model import ANSWER

SITE = """
mirrors = replace(site.mirrors, debian={debian!r}, debian_security={security!r})
site = replace(site, mirrors=mirrors)
"""
OLLAMA = """
kept = profile
profile = replace(
    profile, services=(replace(profile.services[0], engine="ollama", merge=None),)
)
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
    ip daddr {host} accept
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
    """A vendor's line: where bundles are made, the machine, and how what it sends is counted."""

    rack: Rack
    machine: Machine
    bundle: Path
    signers: Path
    server: Folder

    def seal(self, *words: str) -> Run:
        return run([sys.executable, "-m", "deploys.seal", *words])

    def served(self, ending: str) -> int:
        """How many files of a kind the bundle's server has given out."""
        return sum(request.path.endswith(ending) for request in self.server.requests)

    def elsewhere(self) -> str:
        """What the machine has sent to others than the bundle's server, as nftables counts it."""
        return self._nft("list", "table", "inet", "lab_elsewhere")

    def count(self, host: str) -> None:
        self._nft("-f", "-", rules=COUNT.format(host=host))

    def _nft(self, *words: str, rules: str = "") -> str:
        namespace = self.machine.network.namespace(self.machine.index)
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
    lab = lab_factory(1, name="bundle", air_gapped=True)
    folder = tmp_path_factory.mktemp("line")
    key, signers, bundle = folder / "vendor", folder / "signers", folder / "bundle"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers.write_text(f"vendor {key.with_suffix('.pub').read_text()}")
    rack = Rack(lab, lab_hub.listen(lab.host), lab_github.listen(lab.host), folder / "site")
    with (
        Archive(folder / "debian") as debian,
        Archive(folder / "security", security=True) as security,
    ):
        rack.add(SITE.format(debian=debian.url, security=security.url))
        made = rack.deploy("--data", f"output={bundle}", deploy="deploys/bundle.py")
    assert made.code == 0, made.output
    with Folder(bundle) as server:
        place = Line(rack, lab.machines[0], bundle, signers, server)
        assert place.seal("sign", str(bundle), "--key", str(key)).code == 0
        url = server.listen(lab.host)
        rack.add(FROM_BUNDLE.format(url=url, folder=str(bundle)))
        place.count(lab.host)
        yield place


def test_the_machine_answers_and_has_asked_nobody_else(line: Line) -> None:
    done = line.rack.deploy("--json")
    assert done.code == 0, done.output
    assert line.rack.ask().startswith("{") and ANSWER in line.rack.ask()
    again = line.rack.deploy("--json")
    assert again.code == 0 and again.changed == [], again.output
    assert line.served(".deb") and line.served(".gguf")
    assert "counter packets 0 bytes 0" in line.elsewhere()


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
