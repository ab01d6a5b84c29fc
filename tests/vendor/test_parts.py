"""Vendors' repositories and uv's builds of Python in a bundle, installed from a mounted folder.

The archive is Debian's own with its signatures; those of vendors are signed by their stand-ins.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from deploys.control import locks
from deploys.control.bundle import fill
from deploys.planning.bundle.contents import Contents
from deploys.planning.driver.plan import Repository
from deploys.planning.engines.software import Environment
from deploys.planning.inputs.site import GLOBAL, Site
from tests import temporary
from tests.e2e.rack import Rack
from tests.lab import Lab, python_build, wheels
from tests.lab.amd_repository import repositories
from tests.lab.archive import Archive
from tests.lab.nvidia_repository import KEY, NvidiaRepository

DEPLOY = "tests/e2e/deploys/from_bundle.py"
VENDORS = ("nvidia-driver-pinning-580", "rocminfo")
DATA = """
from deploys.planning.engines.software import Environment
from deploys.planning.inputs.site import BUNDLE
profile = HostProfile()
site = replace(site, mirrors=BUNDLE({disk!r}))
told = {told!r}
"""


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder that machines see, too: /tmp of Debian 13 is memory of its own."""
    with temporary.folder("modelrack-disk-", Path("/var/tmp")) as made:
        made.chmod(0o755)
        yield made


def test_what_a_vendor_has_signed_and_a_python_are_installed_from_a_folder(
    lab_factory: Callable[..., Lab],
    lab_nvidia: NvidiaRepository,
    tmp_path_factory: pytest.TempPathFactory,
    disk: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    known = folder / "known.json"
    lab = lab_factory(
        ["thirteen"], name="parts", suite="trixie", air_gapped=True, binds=[str(disk)]
    )
    (machine,) = lab.machines
    rack = Rack(lab, "", "", folder / "site")
    pinned = rack.folder / ".lab/sandbox/locks"
    lab_nvidia.pin(pinned)
    pins = yaml.safe_load((pinned / "artifacts.yaml").read_text())
    sha256 = repositories(folder / "amd")
    pins["rocm-key"] = {
        **{"version": "lab", "origin": "rocm", "path": "rocm/rocm.gpg.key", "sha256": sha256}
    }
    (pinned / "artifacts.yaml").write_text(yaml.safe_dump(pins))
    version = python_build.publish(folder / "builds", known)
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", str(known))
    lock = folder / "lock.txt"
    lock.write_text(wheels.publish(folder / "index", "lab_indexed"))
    environment = Environment(
        name="made",
        version="1",
        lock=str(lock.with_suffix("")),
        digest="0123456789ab",
        python="3.11",
        imports=("lab_indexed",),
    )
    with (
        Archive(folder / "debian") as debian,
        Archive(folder / "security", security=True) as security,
        # These serve files, whoever made them.
        NvidiaRepository(folder / "builds") as builds,
        NvidiaRepository(folder / "amd") as amd,
        wheels.WheelPages(folder / "index") as index,
    ):
        mirrors = replace(
            GLOBAL,
            debian=debian.url,
            debian_security=security.url,
            cuda=lab_nvidia.url,
            rocm=amd.url,
            python_builds=builds.url,
            pypi=index.url,
        )
        site = Site(mirrors=mirrors, locks=pinned)
        _fill(site, environment, disk, folder)
    locked = yaml.safe_load((pinned / "packages.yaml").read_text())["debian 13 amd64"]
    assert {*VENDORS, "python3"} <= {*locked}
    assert all(re.fullmatch("[0-9a-f]{64}", each["sha256"]) for each in locked.values())
    # It knows the build by its hash from the same list; the build itself is in the folder.
    machine.ssh("mkdir -p /etc/uv && cat > /etc/uv/known.json", stdin=known.read_text())
    setting = 'python-downloads-json-url = "/etc/uv/known.json"\n'
    machine.ssh("cat > /etc/uv/uv.toml", stdin=setting)
    told = {"packages": VENDORS, "environment": environment}
    rack.add(DATA.format(disk=str(disk), told=told))
    first = rack.deploy("--json", deploy=DEPLOY)
    assert first.code == 0, first.output
    assert all(machine.ssh(f"dpkg-query -W {name}").returncode == 0 for name in VENDORS)
    python = machine.ssh("/opt/modelrack/engines/made/*/bin/python --version").stdout
    assert python == f"Python {version}\n"
    again = rack.deploy("--json", deploy=DEPLOY)
    assert again.code == 0 and again.changed == [], again.output
    _is_refused_with_another_signature(rack, disk)


def _fill(site: Site, environment: Environment, disk: Path, folder: Path) -> None:
    pins = locks.read(site.locks).artifacts
    nvidia, amd = pins["cuda-keyring-debian13"], pins["rocm-key"]
    sources = (
        Repository(
            name="cuda-debian13",
            url=site.url("cuda", "debian13/x86_64"),
            keyring=nvidia,
            key=KEY,
            needs=("contrib",),
        ),
        Repository(
            name="rocm",
            url=site.url("rocm", "rocm/apt/7.2.3"),
            suite="jammy main",
            keyring=amd,
            key="",
            release="o=repo.radeon.com",
        ),
    )
    wanted = Contents(
        system="debian 13",
        suite="trixie",
        architecture="amd64",
        packages=("python3", "ca-certificates", *VENDORS),
        repositories=sources,
        archives=(nvidia, amd),
        environments=(environment,),
        own_python="3.13",
        weights=(),
    )
    work = folder / "work"
    work.mkdir()
    fill.fill(wanted, site, disk, work, print)


def _is_refused_with_another_signature(rack: Rack, disk: Path) -> None:
    """The machine checks what the vendor has signed, and nobody else's word for it."""
    (release,) = (disk / "cuda").rglob("InRelease")
    release.write_text(release.read_text().replace("SHA256:", "SHA256 :"))
    (machine,) = rack.machines
    read = "apt-get -o Dir::Etc::SourceList=/etc/modelrack/apt.sources"
    read += " -o Dir::Etc::SourceParts=/etc/modelrack/apt.sources.d update"
    assert "has been manipulated" in machine.ssh(f"{read} 2>&1", check=False).stdout
