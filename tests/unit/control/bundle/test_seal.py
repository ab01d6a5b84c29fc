"""Sealed bundles: OpenSSH and coreutils agree, and each thing that differs is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploys.control.bundle import disks, seal
from deploys.planning.inputs.refusal import Refusal
from tests.lab import ssh_key

FILES = {"debian/pool/a.deb": b"a" * 100, "weights/m/x.gguf": b"w" * 300, "BUNDLE.json": b"{}"}


@pytest.fixture
def signers(tmp_path: Path) -> Path:
    return ssh_key.signer(tmp_path, "vendor").with_name("signers")


@pytest.fixture
def bundle(tmp_path: Path, signers: Path) -> Path:
    folder = tmp_path / "bundle"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert seal.seal(folder, signers.with_name("vendor")) == len(FILES)
    return folder


def test_it_is_whole_by_our_check_and_by_coreutils(bundle: Path, signers: Path) -> None:
    assert list(seal.check(bundle, signers)) == []
    done = subprocess.run(["sha256sum", "--strict", "-c", "MANIFEST"], cwd=bundle, check=False)
    assert done.returncode == 0


def flipped(bundle: Path) -> None:
    (bundle / "weights/m/x.gguf").write_bytes(b"w" * 299 + b"v")


def missing(bundle: Path) -> None:
    (bundle / "debian/pool/a.deb").unlink()


def added(bundle: Path) -> None:
    (bundle / "debian/pool/b.deb").write_bytes(b"b")


def edited(bundle: Path) -> None:
    manifest = bundle / seal.MANIFEST
    manifest.write_text(manifest.read_text().replace("a.deb", "c.deb"))
    (bundle / "debian/pool/a.deb").rename(bundle / "debian/pool/c.deb")


def signed_by_another(bundle: Path) -> None:
    seal.seal(bundle, ssh_key.make(bundle.parent / "stranger"))


def unsigned(bundle: Path) -> None:
    (bundle / seal.SIGNATURE).unlink()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (flipped, "weights/m/x.gguf is not what was sealed"),
        (missing, "debian/pool/a.deb is missing"),
        (added, "debian/pool/b.deb is in no manifest"),
        (edited, "it was changed since"),
        (signed_by_another, "its key is none of theirs"),
        (unsigned, "There is no"),
    ],
)
def test_what_differs_is_named(
    bundle: Path, signers: Path, changed: Callable[[Path], None], said: str
) -> None:
    changed(bundle)
    (refusal,) = seal.check(bundle, signers)
    assert said in str(refusal)


def test_a_signature_for_something_else_does_not_count(bundle: Path, signers: Path) -> None:
    (bundle / seal.SIGNATURE).unlink()
    other = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(signers.with_name("vendor")), "-n", "git"]
    subprocess.run([*other, str(bundle / seal.MANIFEST)], check=True)
    (refusal,) = seal.check(bundle, signers)
    assert "it was changed since" in str(refusal) or "not signed" in str(refusal)


def test_it_cannot_be_signed_without_a_key(bundle: Path) -> None:
    with pytest.raises(Refusal, match=r"cannot be signed.*ssh-keygen -t ed25519"):
        seal.seal(bundle, bundle / "none")


def test_disks_make_the_bundle_again(bundle: Path, signers: Path, tmp_path: Path) -> None:
    folders = disks.split(bundle, tmp_path / "disks", None, 350)
    assert [each.name for each in folders] == ["disk-1", "disk-2"]
    again = tmp_path / "again"
    for folder in folders:
        subprocess.run(["cp", "-a", f"{folder}/.", str(again)], check=True)
    assert list(seal.check(again, signers)) == []
    with pytest.raises(Refusal, match=r"x\.gguf has .*, and a disk"):
        disks.split(bundle, tmp_path / "small", None, 200)


def test_only_what_is_new_is_carried(bundle: Path, signers: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    subprocess.run(["cp", "-a", f"{bundle}/.", str(older)], check=True)
    (bundle / "BUNDLE.json").write_bytes(b'{"weights": {}}')
    (bundle / "new.deb").write_bytes(b"n")
    seal.seal(bundle, signers.with_name("vendor"))
    (folder,) = disks.split(bundle, tmp_path / "delta", older / seal.MANIFEST, None)
    carried = {each.name for each in folder.rglob("*") if each.is_file()}
    assert carried == {"BUNDLE.json", "new.deb", seal.MANIFEST, seal.SIGNATURE}
    subprocess.run(["cp", "-a", f"{folder}/.", str(older)], check=True)
    assert list(seal.check(older, signers)) == []


def test_the_command_says_what_is_wrong_and_fails(bundle: Path, signers: Path) -> None:
    flipped(bundle)
    command = [
        sys.executable,
        "-m",
        "deploys.seal",
        "check",
        str(bundle),
        "--signers",
        str(signers),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("refused: weights/m/x.gguf is not what was sealed. Copy it again")
