"""An archive becomes a directory, whole or not at all, and nothing of it lands outside."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.__main__ import main
from deploys.remote.download.source import RetryPolicy
from deploys.remote.formats import tree
from deploys.remote.install import artifact
from deploys.remote.lib.failure import Failure
from tests.unit.remote.support import Hub, serving

QUICK = RetryPolicy(silence=0.4, tries=4, first_wait=0.01, longest_wait=0.05)
Entry = tuple[str, str, bytes]  # kind, name, content or link target
PROJECT: list[Entry] = [
    ("dir", "src-1.0", b""),
    ("file", "src-1.0/README", b"hello\n"),
    ("exec", "src-1.0/bin/run", b"#!/bin/sh\n"),
    ("file", "src-1.0/a b/ü", b"x" * 50_000),
    ("link", "src-1.0/bin/again", b"../README"),
]


def tar(entries: list[Entry], compression: str = "gz") -> bytes:
    packed = io.BytesIO()
    kinds = {
        "link": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "dir": tarfile.DIRTYPE,
        "pipe": tarfile.FIFOTYPE,
        "device": tarfile.CHRTYPE,
    }
    with tarfile.open(fileobj=packed, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for kind, name, content in entries:
            info = tarfile.TarInfo(name)
            info.type = kinds.get(kind, tarfile.REGTYPE)
            info.mode = 0o4775 if kind == "exec" else 0o600
            if kind in ("link", "hard"):
                info.linkname = content.decode()
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zipped(entries: list[Entry]) -> bytes:
    packed = io.BytesIO()
    modes = {
        "link": stat.S_IFLNK | 0o777,
        "exec": stat.S_IFREG | 0o755,
        "dir": stat.S_IFDIR | 0o755,
    }
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for kind, name, content in entries:
            info = zipfile.ZipInfo(name + ("/" if kind == "dir" else ""))
            info.external_attr = modes.get(kind, stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return packed.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def project_digest() -> str:
    lines = [
        f"644 {sha(b'x' * 50_000)} a b/ü\n",
        f"120000 {sha(b'../README')} bin/again\n",
        f"755 {sha(b'#!/bin/sh' + bytes([10]))} bin/run\n",
        f"644 {sha(b'hello' + bytes([10]))} README\n",
    ]
    lines.sort(key=lambda line: line.split(" ", 2)[2].encode())
    return sha("".join(lines).encode())


def wanted(directory: Path, hub: Hub, data: bytes | None = None, **more: Any) -> artifact.Artifact:
    value = {"url": f"{hub.url}/src.tar.gz", "directory": str(directory), "strip": 1, **more}
    return artifact.parse({"sha256": sha(data) if data else None, **value})


def assert_project(directory: Path) -> None:
    assert (directory / "README").read_bytes() == b"hello\n"
    assert (directory / "bin/again").read_bytes() == b"hello\n"
    assert (directory / "bin/run").stat().st_mode & 0o7777 == 0o755
    assert (directory / "README").stat().st_mode & 0o7777 == 0o644
    assert tree.tree_sha256(directory) == project_digest()
    beside = {path.name for path in directory.parent.iterdir()} - {directory.name}
    assert beside == {f".{directory.name}.lock", f".{directory.name}.json"}


@pytest.mark.parametrize("kind", ["gz", "xz", "bz2", "zip"])
def test_every_kind_of_archive(tmp_path: Path, kind: str) -> None:
    data = zipped(PROJECT) if kind == "zip" else tar(PROJECT, kind)
    with serving(Hub({"src.tar.gz": data})) as hub:
        one = wanted(tmp_path / "x" / "src", hub, data)
        made = artifact.install(one, patience=QUICK)
        assert_project(tmp_path / "x" / "src")
        assert (made.sha256, made.tree_sha256) == (sha(data), project_digest())
        asked = len(hub.asked)
        assert artifact.install(one, patience=QUICK) == made
        assert len(hub.asked) == asked


def test_the_tree_is_pinned_where_the_archive_is_repacked(tmp_path: Path) -> None:
    pin = {"tree_sha256": project_digest()}
    for number, kind in enumerate(("gz", "xz")):
        with serving(Hub({"src.tar.gz": tar(PROJECT, kind)})) as hub:
            artifact.install(wanted(tmp_path / str(number) / "src", hub, **pin), patience=QUICK)
        assert_project(tmp_path / str(number) / "src")
    changed = [*PROJECT, ("file", "src-1.0/extra", b"")]
    with serving(Hub({"src.tar.gz": tar(changed)})) as hub:
        with pytest.raises(Failure, match="tree_sha256 expected"):
            artifact.install(wanted(tmp_path / "2" / "src", hub, **pin), patience=QUICK)
        assert not (tmp_path / "2" / "src").exists()


def test_a_pin_is_needed(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="pin one"):
        wanted(tmp_path / "src", Hub({}))


def test_a_download_goes_on_where_it_broke(tmp_path: Path) -> None:
    noise = [*PROJECT, ("file", "src-1.0/noise", os.urandom(200_000))]
    data = tar(noise)
    (tmp_path / ".src.part").write_bytes(data[:150_000])
    with serving(Hub({"src.tar.gz": data}, cut=[20_000])) as hub:
        artifact.install(wanted(tmp_path / "src", hub, data), patience=QUICK)
        assert [first for _, first in hub.asked] == [150_000, 170_000]
    assert (tmp_path / "src" / "noise").read_bytes() == noise[-1][2]


@pytest.mark.parametrize("pin", ["sha256", "tree_sha256"])
@pytest.mark.parametrize("rest", [b"of another archive" * 100, b"long" * 100_000, None])
def test_a_part_of_something_else_is_given_up(tmp_path: Path, pin: str, rest: bytes | None) -> None:
    data = tar(PROJECT)
    (tmp_path / ".src.part").write_bytes(data if rest is None else rest)
    pins = {"sha256": sha(data)} if pin == "sha256" else {"tree_sha256": project_digest()}
    with serving(Hub({"src.tar.gz": data})) as hub:
        artifact.install(wanted(tmp_path / "src", hub, **pins), patience=QUICK)
        assert hub.sent <= (0 if rest is None else 2 * len(data))
    assert_project(tmp_path / "src")


def test_a_wrong_archive_fails_with_both_digests(tmp_path: Path) -> None:
    data, other = tar(PROJECT), b"<html>captive portal</html>"
    with serving(Hub({"src.tar.gz": other})) as hub, pytest.raises(Failure) as failure:
        artifact.install(wanted(tmp_path / "src", hub, data), patience=QUICK)
    for piece in (sha(data), sha(other), "HTML page"):
        assert piece in str(failure.value)
    assert [path.name for path in tmp_path.iterdir()] == [".src.lock"]


def test_another_directory_is_not_touched(tmp_path: Path) -> None:
    data = tar(PROJECT)
    (tmp_path / "src").mkdir()
    with serving(Hub({"src.tar.gz": data})) as hub:
        with pytest.raises(Failure, match="is not this artifact"):
            artifact.install(wanted(tmp_path / "src", hub, data), patience=QUICK)
        assert not hub.asked


def test_a_file_on_this_machine(tmp_path: Path) -> None:
    data = tar(PROJECT)
    (tmp_path / "src.tar.gz").write_bytes(data)
    for number, url in enumerate([f"file://{tmp_path}/src.tar.gz", f"{tmp_path}/src.tar.gz"]):
        place = tmp_path / str(number) / "src"
        artifact.install(wanted(place, Hub({}), data, url=url), patience=QUICK)
        assert_project(place)


ATTACKS: dict[str, list[Entry]] = {
    "absolute": [("file", "/tmp/evil", b"x")],
    "parent": [("file", "src/../../evil", b"x")],
    "absolute link": [("link", "src/l", b"/etc/passwd")],
    "link outside": [("link", "src/l", b"../evil")],
    "link chain": [
        ("dir", "src/y", b""),
        ("link", "src/d", b"."),
        ("link", "src/x", b"d/y/../../.."),
    ],
    "through a link": [("link", "src/d", b"y"), ("dir", "src/y", b""), ("file", "src/d/f", b"x")],
    "hard link outside": [("hard", "src/l", b"../../etc/passwd")],
    "hard link of a link": [("link", "src/l", b"nothing"), ("hard", "src/h", b"src/l")],
    "pipe": [("pipe", "src/p", b"")],
    "device": [("device", "src/d", b"")],
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_lands_outside(tmp_path: Path, attack: str) -> None:
    data = tar([("file", "src/good", b"x"), *ATTACKS[attack]])
    place = tmp_path / "deep" / "er" / "src"
    with serving(Hub({"src.tar.gz": data})) as hub, pytest.raises(Failure):
        artifact.install(wanted(place, hub, data), patience=QUICK)
    assert not place.exists() and not (place.parent / ".src.unpack").exists()
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {".src.lock"}


def test_damage_is_reported(tmp_path: Path) -> None:
    for number, data in enumerate(
        [tar(PROJECT)[:150], tar(PROJECT, "xz")[:150], b"\x1f\x8bnothing", b"MZ"]
    ):
        with serving(Hub({"src.tar.gz": data})) as hub, pytest.raises(Failure, match="damaged"):
            artifact.install(wanted(tmp_path / f"src{number}", hub, data), patience=QUICK)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tar(PROJECT)
    with serving(Hub({"src.tar.gz": data})) as hub:
        value = {"url": hub.url + "/src.tar.gz", "sha256": sha(data), "strip": 1}
        value["directory"] = str(tmp_path / "src")
        (tmp_path / "spec.json").write_text(json.dumps(value))
        assert main(["artifact", str(tmp_path / "spec.json")]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["tree_sha256"] == project_digest()
    assert main(["artifact", "tree-digest", str(tmp_path / "src")]) == 0
    assert capsys.readouterr().out.strip() == project_digest()
