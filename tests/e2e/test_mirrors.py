"""Both presets of `Mirrors` as they stand, each entry really used, on Debian 12 and on 13.

The machines have no way out: what does not come from where the preset says comes from nowhere.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
import yaml

from deploys.control import locks
from deploys.planning.inputs.locks import ListedFile, WeightsLock
from deploys.planning.inputs.site import CN, GLOBAL, Mirrors
from deploys.planning.inputs.site import Hub as HubName
from tests.e2e import stub
from tests.e2e.rack import Rack, Run
from tests.lab import Lab, Machine, tree, wheels
from tests.lab.amd_repository import repositories
from tests.lab.archive import Archive
from tests.lab.debian_package import Package, build, index, throw_away_key
from tests.lab.github import GitHub
from tests.lab.http_server import Reply, StandIn
from tests.lab.hub import Hub
from tests.lab.internet import Internet
from tests.lab.nvidia_repository import NvidiaRepository

DEPLOY = "tests/e2e/deploys/mirrors.py"
BASE = "deploys.stages.base.install"
PYTHON = "tests/e2e/deploys/python.py"
MACHINES = {"twelve": "bookworm", "thirteen": "trixie"}
# What apt and uv are told of their own on these machines.
OWN_INDEX = "https://own-index.invalid/simple"
# What a build of Python is called: where its makers publish it, and so at every mirror.
BUILD = re.compile(r"/\d{8}/cpython-3\.12\.\d+%2B\d{8}-x86_64-unknown-linux-gnu-\S+\.tar\.gz")
OWN_LIST = "deb [trusted=yes] file:/srv/own ./\n"
TOLD = {
    "CN": {"packages": ("tree",), "cuda": ("nvlsm",)},
    "GLOBAL": {"packages": ("own-tool",), "cuda": ("nvidia-driver-pinning-580",)},
}
SITE = """
from deploys.planning.inputs.site import CN
site = replace(site, mirrors={preset}, data_root="/srv/{preset}")
told = {told!r}
_tiny = profile.services[0]
# One from each hub, which has it alone.
_tiny = replace(_tiny, model=replace(_tiny.model, huggingface=_tiny.model.modelscope))
profile = replace(profile, services=tuple(
    replace(_tiny, name=name, port=port, model=replace(_tiny.model, key=name, **{{other: None}}))
    for name, other, port in (
        ("modelscope", "huggingface", 8080), ("huggingface", "modelscope", 8081),
    )
))
del _tiny
"""


class Place:
    """Two machines, the hosts that they find, and what is served there."""

    def __init__(self, lab: Lab, internet: Internet, folder: Path, lines: str) -> None:
        self.machines, self.internet = lab.machines, internet
        self.rack = Rack(lab, "", "", folder)
        self._lab, self._lines = lab, lines

    def preset(self, name: str) -> None:
        """The site has these mirrors from now on, as they stand."""
        self.rack.add(self._lines + SITE.format(preset=name, told={"preset": name, **TOLD[name]}))
        self.rack.add(f"told['lock'] = {str(self.rack.folder / 'lock')!r}")

    def deploy(self, deploy: str = DEPLOY) -> Run:
        return self.rack.deploy("--json", deploy=deploy)


@pytest.fixture(scope="module")
def place(
    lab_factory: Callable[..., Lab],
    lab_hub: Hub,
    lab_nvidia: NvidiaRepository,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("mirrors")
    archive = stub.publish(folder / "github")
    release = _archive(folder / "ollama/v1/ollama.tgz", "ollama-1/bin/ollama")
    _archive(folder / "python.tar.gz", "python/bin/python3.12")
    key = repositories(folder / "amd")
    (folder / "archive").mkdir()
    (folder / "security").mkdir()
    lock = wheels.publish(folder / "index", "lab_indexed")
    lock += wheels.publish(folder / "pytorch", "lab_linked")
    served: dict[str, StandIn] = {
        "github": GitHub(folder / "github"),
        "python_builds": _Anything(folder / "python.tar.gz"),
        # These serve files, whoever made them.
        "ollama": NvidiaRepository(folder / "ollama"),
        "rocm": NvidiaRepository(folder / "amd"),
        "cuda": lab_nvidia,
        "modelscope": lab_hub,
        "huggingface": lab_hub,
        "pypi": wheels.WheelPages(folder / "index"),
        "pytorch": wheels.WheelPages(folder / "pytorch"),
        "debian": Archive(folder / "archive"),
        "debian_security": Archive(folder / "security", security=True),
        # Only named: no machine here is Ubuntu. Its list is read by apt itself in
        # tests/lab/tests/test_archive_sources.py.
        "ubuntu": NvidiaRepository(folder / "nothing"),
        # Likewise: no machine here has a gateway. tests/e2e/test_gateway.py asks an authority.
        "acme": NvidiaRepository(folder / "nobody"),
        # No preset has weights; tests/e2e/test_bundle.py takes them from such a folder.
        "weights": NvidiaRepository(folder / "none"),
    }
    assert served.keys() == {entry.name for entry in fields(Mirrors)}
    places = {
        address: served[entry.name]
        for preset in (CN, GLOBAL)
        for entry in fields(preset)
        if (address := getattr(preset, entry.name))
    }
    with Internet({**places, OWN_INDEX: served["pypi"]}) as internet:
        lab = lab_factory(0, name="mirrors", air_gapped=True)
        internet.listen(lab.host)
        own = folder / "own"
        _own_archive(own)

        def prepare(machine: Machine) -> None:
            internet.introduce(machine)
            _own_settings(machine.directory / "root", own)

        for name, suite in MACHINES.items():
            (machine,) = lab.add(name, layer=tree.base(suite), prepare=prepare)
            machine.ssh("apt-get -q update")
        made = Place(lab, internet, tmp_path_factory.mktemp("rack"), f"{archive.data}\n")
        (made.rack.folder / "lock.txt").write_text(lock)
        pinned = made.rack.folder / ".lab/sandbox/locks"
        lab_nvidia.pin(pinned)
        pins = yaml.safe_load((pinned / "artifacts.yaml").read_text())
        pins["rocm-key"] = _pin("rocm", "rocm/rocm.gpg.key", key)
        pins["ollama"] = _pin("ollama", "v1/ollama.tgz", release)
        (pinned / "artifacts.yaml").write_text(yaml.safe_dump(pins))
        for hub in get_args(HubName):
            _pin_model(pinned, hub, lab_hub)
        yield made
    for name, standin in served.items():
        if name not in ("cuda", "modelscope", "huggingface"):
            standin.close()


def test_everything_comes_from_the_mirrors_in_china(place: Place) -> None:
    before = [_apt_of(machine) for machine in place.machines]
    assert all("Candidate: 1.0" in said for said in before), before
    place.preset("CN")
    first = place.deploy()
    assert first.code == 0, first.output
    for machine in place.machines:
        assert machine.ssh("tree --version").returncode == 0
        assert machine.ssh("test -e /opt/modelrack/CN/stub-1/main.c", check=False).returncode == 0
    _is_asked(place, CN, {"rocm", "ubuntu", "python_builds", "acme"})
    second = place.deploy()
    assert second.code == 0 and second.changed == [], second.output
    # What apt itself reads is as it was, and so is what it knows.
    assert [_apt_of(machine) for machine in place.machines] == before


def test_without_them_all_is_as_it_was(place: Place) -> None:
    there = [machine.ssh("ls /etc/modelrack").stdout.split() for machine in place.machines]
    assert all({"apt.sources", "apt.sources.d"} <= {*names} for names in there)
    place.preset("GLOBAL")
    first = place.deploy(BASE)
    assert first.code == 0, first.output
    for machine in place.machines:
        assert "apt" not in machine.ssh("ls /etc/modelrack").stdout
    second = place.deploy(BASE)
    assert second.code == 0 and second.changed == [], second.output


def test_everything_comes_from_the_world_and_apt_and_uv_go_their_own_way(place: Place) -> None:
    place.preset("GLOBAL")
    first = place.deploy()
    assert first.code == 0, first.output
    for machine in place.machines:
        assert machine.ssh("cat /etc/own-tool").stdout == "own\n"
        assert machine.ssh("dpkg-query -W rocminfo").returncode == 0
    _is_asked(place, GLOBAL, {"python_builds", "acme"})
    assert "/lab-indexed/" in place.internet.asked(OWN_INDEX)
    second = place.deploy()
    assert second.code == 0 and second.changed == [], second.output


@pytest.mark.parametrize(("name", "mirrors"), [("CN", CN), ("GLOBAL", GLOBAL)])
def test_a_python_is_fetched_from_there_and_proven_by_uv(
    place: Place, name: str, mirrors: Mirrors
) -> None:
    """uv knows the hashes of the real builds, so ours gets as far as that and no further."""
    place.preset(name)
    run = place.deploy(PYTHON)
    assert run.code == 1, run.output
    assert run.output.count("ash mismatch for `cpython-3.12.") == len(place.machines), run.output
    asked = place.internet.asked(mirrors.python_builds or "")
    assert len(asked) == len(place.machines) and all(map(BUILD.fullmatch, asked)), asked


class _Anything(StandIn):
    """Answers every question with the same archive."""

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        return Reply(path, file=self.root)


def _is_asked(place: Place, mirrors: Mirrors, without: set[str]) -> None:
    """Each entry was of use, but for these."""
    addresses = {entry.name: getattr(mirrors, entry.name) for entry in fields(mirrors)}
    used = {name for name, url in addresses.items() if url and place.internet.asked(url)}
    assert used == {name for name, url in addresses.items() if url} - without


def _apt_of(machine: Machine) -> str:
    """apt's own sources and settings but for what a deploy adds by name, and a package it knows."""
    return machine.ssh(
        "cd /etc/apt && find . -type f ! -name '60modelrack' ! -path './keyrings/*'"
        " ! -path './preferences.d/cuda-*' -exec sha256sum {} + | sort; apt-cache policy own-tool"
    ).stdout


def _own_archive(folder: Path) -> None:
    package = Package(
        name="own-tool", version="1.0", architecture="all", files={"etc/own-tool": "own\n"}
    )
    build([package], folder, folder.with_name("packages"))
    with throw_away_key("own (lab)") as key:
        index([package], folder, "Own", key)


def _own_settings(root: Path, archive: Path) -> None:
    """An archive of the machine's own, and an index of its own."""
    there = root / "srv/own"
    there.mkdir()
    for path in archive.iterdir():
        (there / path.name).write_bytes(path.read_bytes())
    (root / "etc/apt/sources.list").write_text(OWN_LIST)
    (root / "etc/uv").mkdir()
    (root / "etc/uv/uv.toml").write_text(f'index-url = "{OWN_INDEX}"\n')


def _archive(path: Path, program: str) -> str:
    """Pack a program, and return the sha256 of that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = b"#!/bin/sh\n"
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo(program)
        entry.size, entry.mode = len(content), 0o755
        archive.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _pin_model(folder: Path, hub: HubName, has: Hub) -> None:
    """As if it had been listed: the operator's computer has no way to the hosts of a preset."""
    repository = "modelrack-lab/tiny-qwen2-gguf"
    files = tuple(
        ListedFile(path=each.path, size=each.size, sha256=each.sha256)
        for each in has.entries(repository)
        if each.path.startswith("tiny-qwen2-F16-")
    )
    revision = has.commit(repository)
    lock = WeightsLock(hub=hub, repository=repository, revision=revision, files=files)
    locks.write(folder, {hub: lock})


def _pin(origin: str, path: str, sha256: str) -> dict[str, str]:
    return {"version": "lab", "origin": origin, "path": path, "sha256": sha256}
