"""Images written to real block devices: loop devices, as a line's disks are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploys.control.bundle.signature import foreign
from deploys.control.line import disks
from deploys.planning.line.disk import refusals
from tests.e2e.rack import PROJECT, Run, environment, run
from tests.lab import disk_image, missing, ssh_key
from tests.lab.disk_image import MIB, content

# A source that stops half way, for who is to be interrupted there.
HALF_WAY = '#!/bin/sh\n/usr/bin/zstd "$@" | { head -c 12000000; exec sleep 600; }\n'


class Bench:
    """An image, the keys of its maker and of the line, and disks."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.key = ssh_key.signer(folder, "vendor")
        self.signers = folder / "signers"
        self.image = disk_image.publish(folder / "image", self.key)
        told = json.loads((folder / "image/tiny.manifest.json").read_text())
        self.sha256, self.size = told["raw"]["sha256"], told["raw"]["size"]

    def disk(self, name: str, size: int = 32 * MIB, folder: Path | None = None) -> str:
        return self._stack.enter_context(
            disk_image.disk((folder or self.folder) / f"{name}.disk", size)
        )

    def command(self, *units: str) -> list[str]:
        words = [sys.executable, "-m", "deploys.flash", str(self.image), *units, "--yes"]
        words += ["--signers", str(self.signers), "--key", str(self.key)]
        return [*words, "--reports", str(self.folder / "reports")]

    def flash(self, *units: str) -> Run:
        return run(self.command(*units))

    def report(self, serial: str) -> Path:
        return self.folder / "reports" / f"{serial}.json"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    if reasons := missing():
        pytest.skip(f"not run: {'; '.join(reasons)}")
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def test_several_disks_at_a_time_are_written_compared_and_reported(bench: Bench) -> None:
    first, second = bench.disk("first"), bench.disk("second", 48 * MIB)
    done = bench.flash(f"MR-1={first}", f"MR-2={second}")
    assert done.code == 0, done.output
    for serial, device, size in (("MR-1", first, 32 * MIB), ("MR-2", second, 48 * MIB)):
        assert content(device, bench.size) == bench.sha256
        with Path(device).open("rb") as disk:
            disk.seek(size - MIB)
            # Nothing of a table of before, which some programs would believe.
            assert disk.read() == bytes(MIB)
        report = json.loads(bench.report(serial).read_text())
        assert report["flash"]["sha256"] == report["image"]["sha256"] == bench.sha256
        assert (report["disk"]["path"], report["disk"]["size"]) == (device, size)
        for path in (bench.report(serial), bench.report(serial).with_suffix(".txt")):
            assert foreign(path, path.with_name(f"{path.name}.sig"), bench.signers) == ""
        assert bench.sha256 in bench.report(serial).with_suffix(".txt").read_text()


def changed(bench: Bench) -> str:
    with bench.image.open("r+b") as file:
        file.seek(1000)
        byte = file.read(1)
        file.seek(1000)
        file.write(bytes([byte[0] ^ 1]))
    return "tiny.raw.zst is not what was signed"


def edited(bench: Bench) -> str:
    manifest = bench.image.with_name("tiny.manifest.json")
    manifest.write_text(manifest.read_text().replace("sandbox", "another"))
    return "tiny.manifest.json is not what was signed"


def edited_with_its_sums(bench: Bench) -> str:
    sums = bench.image.with_name("SHA256SUMS")
    sums.write_text(sums.read_text().replace("a", "b"))
    return "was not signed by anybody in"


def by_a_stranger(bench: Bench) -> str:
    folder = bench.folder / "stranger"
    folder.mkdir()
    disk_image.sign(bench.image.parent, ssh_key.signer(folder, "stranger"))
    return "its key is none of theirs"


def other_content(bench: Bench) -> str:
    """Signed, but not what the manifest says of what is inside."""
    manifest = bench.image.with_name("tiny.manifest.json")
    manifest.write_text(manifest.read_text().replace(bench.sha256, "0" * 64))
    disk_image.sign(bench.image.parent, bench.key)
    return ""


@pytest.mark.parametrize("harm", [changed, edited, edited_with_its_sums, by_a_stranger])
def test_another_image_than_was_signed_reaches_no_disk(
    bench: Bench, harm: Callable[[Bench], str]
) -> None:
    device = bench.disk("disk")
    before, said = content(device), harm(bench)
    refused = bench.flash(f"MR-1={device}")
    assert refused.code == 1 and said in refused.stderr
    assert content(device) == before
    assert not bench.report("MR-1").exists()


def test_an_image_that_unpacks_to_something_else_leaves_no_disk_that_boots(bench: Bench) -> None:
    device = bench.disk("disk")
    other_content(bench)
    refused = bench.flash(f"MR-1={device}")
    assert refused.code == 1 and "is not the 24" in refused.output
    assert _head(device) == bytes(MIB)
    assert not bench.report("MR-1").exists()


def test_one_disk_that_may_not_be_written_holds_up_all(bench: Bench) -> None:
    good, small = bench.disk("good"), bench.disk("small", 8 * MIB)
    subprocess.run(["mke2fs", "-q", "-F", mounted := bench.disk("mounted")], check=True)
    folder = bench.folder / "mounted"
    folder.mkdir()
    subprocess.run(["mount", "-o", "ro", mounted, str(folder)], check=True)
    try:
        before = [content(each) for each in (good, small, mounted)]
        refused = bench.flash(f"MR-1={good}", f"MR-2={small}", f"MR-3={mounted}", f"MR-4={good}")
        assert refused.code == 1
        assert f"{mounted} is mounted at {folder}" in refused.stderr
        assert f"{small} has 8.0 MiB, and the image 24.0 MiB" in refused.stderr
        assert f"{good} is the disk of MR-1" in refused.stderr
        assert [content(each) for each in (good, small, mounted)] == before
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    (bench.folder / "vendor").rename(bench.folder / "away")
    unsigned = bench.flash(f"MR-1={good}")
    assert unsigned.code == 1 and "cannot be signed with" in unsigned.stderr
    assert content(good) == before[0]
    (bench.folder / "away").rename(bench.folder / "vendor")
    nothing = bench.flash("MR-1=/dev/none")
    assert nothing.code == 1 and "There is no disk /dev/none" in nothing.stderr


def test_this_computers_own_disk_is_none_of_the_lines() -> None:
    """It is only looked at here."""
    found = subprocess.run(["findmnt", "-no", "SOURCE", "/"], text=True, capture_output=True)
    own = Path(found.stdout.strip())
    if not own.is_block_device():
        pytest.skip(f"/ is on {own}, which is no disk")
    parent = subprocess.run(["lsblk", "-npo", "PKNAME", str(own)], text=True, capture_output=True)
    disk = disks.look(Path(parent.stdout.split()[0]) if parent.stdout.split() else own)
    assert "has the system of this computer" in str(next(refusals(disk, 1)))


def test_an_interrupted_disk_does_not_boot_and_is_not_called_done(bench: Bench) -> None:
    device = bench.disk("disk")
    assert bench.flash(f"MR-1={device}").code == 0
    slow = bench.folder / "slow"
    slow.mkdir()
    (slow / "zstd").write_text(HALF_WAY)
    (slow / "zstd").chmod(0o755)
    with Path(device).open("r+b") as disk:  # What is written there is seen.
        disk.seek(5 * MIB)
        disk.write(bytes(MIB))
    way = f"{slow}:{os.environ['PATH']}"
    process = subprocess.Popen(
        bench.command(f"MR-1={device}"),
        cwd=PROJECT,
        env={**environment(), "PATH": way},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while _piece(device, 5 * MIB) == bytes(512):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert _head(device) == bytes(MIB)
    assert not bench.report("MR-1").exists()
    again = bench.flash(f"MR-1={device}")
    assert again.code == 0, again.output
    assert content(device, bench.size) == bench.sha256
    assert bench.report("MR-1").exists()


def test_a_disk_that_gives_back_something_else_is_named(bench: Bench) -> None:
    device = bench.disk("disk")
    over = threading.Event()

    def forget() -> None:
        with (bench.folder / "disk.disk").open("r+b", buffering=0) as file:
            while not over.is_set():
                os.pwrite(file.fileno(), b"forgotten", 9 * MIB)
                time.sleep(0.001)

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        done = bench.flash(f"MR-1={device}")
    finally:
        over.set()
        thread.join()
    assert done.code == 1
    assert f"{device} does not give back what was written to it" in done.output
    assert _head(device) == bytes(MIB)
    assert not bench.report("MR-1").exists()


def test_a_disk_that_fails_holds_up_no_other(bench: Bench) -> None:
    folder = bench.folder / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], check=True)
    try:
        with disk_image.disk(folder / "bad.disk") as bad:
            done = bench.flash(f"MR-1={bad}", f"MR-2={bench.disk('good')}")
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert done.code == 1
    assert f"MR-1: {bad} cannot be written" in done.stdout
    assert "MR-2: written, read back and the same" in done.stdout
    assert not bench.report("MR-1").exists() and bench.report("MR-2").exists()


def _head(device: str) -> bytes:
    return _piece(device, 0, MIB)


def _piece(device: str, at: int, size: int = 512) -> bytes:
    fd = os.open(device, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(fd, size, at)
    finally:
        os.close(fd)
