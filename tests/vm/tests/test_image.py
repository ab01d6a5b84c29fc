"""An appliance's image: made twice, looked through, and booted as several units."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploys.control.image import archives, sealed
from tests.lab.github import GitHub
from tests.lab.hub import Hub
from tests.vm.appliance import NAME, Unit, Vendor, unpack

WEIGHTS = "/data/models/tiny-qwen2/tiny-qwen2-F16.gguf"


@dataclass
class Made:
    """Two builds of one image, in places of different kinds."""

    vendor: Vendor
    disk: Path
    memory: Path
    raw: Path
    manifest: dict[str, Any]

    @property
    def root(self) -> str:
        """Its root file system, as tools of ext4 open a part of a file."""
        parts = self.manifest["partitions"]
        # Partitions begin at the first MiB, one after the other.
        before = sum(each["size"] for each in parts if each["name"] != "root")
        return f"{self.raw}?offset={(1 << 20) + before}"


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, lab_hub: Hub, lab_github: GitHub
) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("vendor")
    vendor = Vendor(folder / "vendor", lab_hub.listen("127.0.0.1"), lab_github.listen("127.0.0.1"))
    memory = folder / "memory"
    memory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6g", "image", str(memory)], check=True)
    try:
        for output in (folder / "first", memory / "the second one"):
            run = vendor.make(output)
            assert run.code == 0, run.output
        raw = unpack(folder / f"first/{NAME}.raw.zst", folder / "disk.raw")
        manifest = json.loads((folder / f"first/{NAME}.manifest.json").read_text())
        yield Made(vendor, folder / "first", memory / "the second one", raw, manifest)
    finally:
        subprocess.run(["umount", str(memory)], check=True)


def test_two_builds_are_one_image(made: Made) -> None:
    """In another folder, on another file system, at another time."""
    first, second = made.disk, made.memory
    names = {path.name for path in first.iterdir()}
    assert names == {path.name for path in second.iterdir()}
    assert {f"{NAME}.raw.zst", f"{NAME}.packages", f"{NAME}.cdx.json", "SHA256SUMS"} <= names
    for name in sorted(names):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_whoever_gets_it_checks_it_without_us(made: Made) -> None:
    signers = made.vendor.folder / "signers"
    signers.write_text(f"vendor {made.vendor.key.with_suffix('.pub').read_text()}")
    verify = ["ssh-keygen", "-Y", "verify", "-f", str(signers), "-I", "vendor"]
    with (made.disk / "SHA256SUMS").open() as sums:
        subprocess.run(
            [*verify, "-n", "modelrack-bundle", "-s", f"{made.disk}/SHA256SUMS.sig"],
            stdin=sums,
            check=True,
        )
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=made.disk, check=True)
    of_raw = subprocess.run(
        ["sha256sum", str(made.raw)], capture_output=True, text=True, check=True
    )
    assert of_raw.stdout.split()[0] == made.manifest["raw"]["sha256"]
    assert made.raw.stat().st_size == made.manifest["raw"]["size"]


def _ext4(command: str, *arguments: str) -> str:
    """Run a program of the tree that images are made with."""
    tool = archives.tools()
    loader = tool / "usr/lib64/ld-linux-x86-64.so.2"
    libraries = tool / "usr/lib/x86_64-linux-gnu"
    program = tool / "usr/sbin" / command
    done = subprocess.run(
        [str(loader), "--library-path", str(libraries), str(program), *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_no_file_of_it_has_a_key_a_token_or_a_word_of_the_builders(
    made: Made, tmp_path: Path
) -> None:
    _ext4("debugfs", "-R", f"rdump / {tmp_path}", made.root)
    assert (tmp_path / "etc/machine-id").read_text() == "uninitialized\n"
    for glob in ("etc/ssh/ssh_host_*", "root/.ssh", "root/.*_history", "var/lib/dkms/mok.key"):
        assert list(tmp_path.glob(glob)) == [], glob
    assert not list((tmp_path / "etc/modelrack/secrets").iterdir())
    assert not [path for path in (tmp_path / "var/log").rglob("*") if path.is_file()]
    vendor = made.vendor
    words = sealed.builders(str(vendor.folder), vendor.hub, vendor.github, "vendor@", "192.0.2.1")
    assert list(sealed.leaks(tmp_path, [*words, os.fsencode(made.disk.parent)])) == []


@dataclass
class Pair:
    """Two units of one image, and what each was after its first boot."""

    first: Unit
    identities: list[dict[str, str]]
    tests: list[dict[str, Any]]
    consoles: list[str]
    answers: list[tuple[int, dict[str, Any]]]
    foreign: int


@pytest.fixture(scope="module")
def pair(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("units")
    units = [Unit(folder / serial, made.raw, serial) for serial in ("MR-0001", "MR-0002")]
    found = Pair(units[0], [], [], [], [], 0)
    try:
        for unit in units:
            unit.qemu.start()
            found.tests.append(unit.tested())
            found.identities.append(unit.identity())
            found.answers.append(unit.ask())
            found.consoles.append(unit.qemu.console())
            if unit is units[1]:
                other = units[0].folder / "its-key"
                found.foreign = unit.ask(other.read_text().strip())[0]
            else:
                (unit.folder / "its-key").write_text(
                    unit.ssh("cat /etc/modelrack/secrets/unit-key")
                )
            unit.off()
        yield found
    finally:
        for unit in units:
            unit.qemu.kill()


def test_no_two_units_share_anything(pair: Pair) -> None:
    first, second = pair.identities
    assert [name for name in first if first[name] == second[name]] == []
    assert pair.foreign == 401


def test_a_unit_tests_itself_and_its_door_answers(pair: Pair) -> None:
    for told, (status, answer) in zip(pair.tests, pair.answers, strict=True):
        assert told["passed"], told["problems"]
        assert status == 200 and answer["choices"], answer
    assert [told["serial"] for told in pair.tests] == ["MR-0001", "MR-0002"]


def test_the_disk_is_grown_to_its_end(pair: Pair) -> None:
    assert all(told["root_bytes"] > 5 << 30 for told in pair.tests)


def test_the_console_says_how_to_reach_it(pair: Pair) -> None:
    for told, console in zip(pair.tests, pair.consoles, strict=True):
        assert f"serial number {told['serial']}: ready" in console
        assert re.search(r"endpoint: https://10\.0\.2\.15/v1", console)
        assert told["certificate"] in console


def test_what_a_unit_is_stays_over_a_second_boot(pair: Pair) -> None:
    unit = pair.first
    unit.qemu.start()
    told = unit.tested()
    assert told["passed"], told["problems"]
    assert unit.identity() == pair.identities[0]
    unit.off()


def test_a_unit_with_damaged_weights_says_so_on_its_console(made: Made, tmp_path: Path) -> None:
    blocks = _ext4("debugfs", "-R", f"blocks {WEIGHTS}", made.root).split()
    damaged = tmp_path / "damaged.raw"
    subprocess.run(["cp", "--sparse=always", str(made.raw), str(damaged)], check=True)
    at = int(made.root.partition("=")[2]) + int(blocks[len(blocks) // 2]) * 4096
    with damaged.open("r+b") as disk:
        disk.seek(at)
        was = disk.read(1)
        disk.seek(at)
        disk.write(bytes([was[0] ^ 0xFF]))
    unit = Unit(tmp_path / "unit", damaged, "MR-0003")
    try:
        unit.qemu.start()
        told = unit.tested()
        console = unit.qemu.console()
    finally:
        unit.qemu.kill()
    assert not told["passed"]
    assert "serial number MR-0003: NOT READY" in console
    assert re.search(r"llama-server@tiny.service does not start: .*tiny-qwen2-F16.gguf", console)
