"""Whose bundles a machine takes, and what it says of its services after an update that failed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deploys.control.bundle import seal
from deploys.remote.install import update
from deploys.remote.lib.content import sha256_of
from deploys.remote.lib.failure import Failure
from tests.lab import ssh_key

FILES = {
    "appliance/box/modelrack.tar": b"tar",
    "appliance/box/requirements.txt": b"uv==1",
    "debian/pool/a.deb": b"deb",
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        path = tmp_path / "bundle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    ssh_key.make(tmp_path / "stranger")
    seal.seal(tmp_path / "bundle", ssh_key.signer(tmp_path, "vendor"))
    return tmp_path / "bundle"


def test_what_was_signed_is_taken_and_the_rest_is_read_when_it_is_used(bundle: Path) -> None:
    (bundle / "debian/pool/a.deb").write_bytes(b"other")
    taken = bundle.parent / "taken"
    update._take(bundle, "appliance/box/", bundle.parent / "signers", taken)
    assert (taken / "modelrack.tar").read_bytes() == b"tar"


def test_what_is_used_is_what_was_checked(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that gives something else when it is read again."""
    part, taken = bundle / "appliance/box", bundle.parent / "taken"

    def read_once(path: Path) -> str:
        found = sha256_of(path)
        (part / "modelrack.tar").write_bytes(b"another")
        return found

    monkeypatch.setattr(update, "sha256_of", read_once)
    update._take(bundle, "appliance/box/", bundle.parent / "signers", taken)
    assert (taken / "modelrack.tar").read_bytes() == b"tar"


def test_another_uv_than_was_pinned_is_not_run(tmp_path: Path) -> None:
    wheel = tmp_path / "uv-1.2-py3-none-manylinux_2_17_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("uv-1.2.data/scripts/uv", "program")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    lock = (
        f"tzdata==1 \\\n    --hash=sha256:{'0' * 64}\nuv==1.2 \\\n    --hash=sha256:{'1' * 64} \\\n"
    )
    update._unpack_uv(f"{lock}    --hash=sha256:{digest}\n", tmp_path, tmp_path / "uv")
    assert (tmp_path / "uv").read_text() == "program"
    (tmp_path / "uv").unlink()
    with pytest.raises(Failure, match="is not what was pinned"):
        update._unpack_uv(f"{lock}    --hash=sha256:{'2' * 64}\n", tmp_path, tmp_path / "uv")
    assert not (tmp_path / "uv").exists()


def changed(bundle: Path) -> str:
    (bundle / "appliance/box/requirements.txt").write_bytes(b"uv==2")
    return "appliance/box/requirements.txt is not what was signed"


def missing(bundle: Path) -> str:
    (bundle / "appliance/box/requirements.txt").unlink()
    return "appliance/box/requirements.txt is not what was signed"


def added(bundle: Path) -> str:
    (bundle / "appliance/box/more").touch()
    return "appliance/box/more is not what was signed"


def edited(bundle: Path) -> str:
    manifest = bundle / "MANIFEST"
    manifest.write_text(manifest.read_text().replace("a", "b"))
    return "was signed by nobody in"


def by_a_stranger(bundle: Path) -> str:
    seal.seal(bundle, bundle.parent / "stranger")
    return "was signed by nobody in"


def unsigned(bundle: Path) -> str:
    (bundle / "MANIFEST.sig").unlink()
    return "there is no"


@pytest.mark.parametrize("harm", [changed, missing, added, edited, by_a_stranger, unsigned])
def test_anything_else_is_refused(bundle: Path, harm: Callable[[Path], str]) -> None:
    said = harm(bundle)
    with pytest.raises(Failure, match=said):
        update._take(bundle, "appliance/box/", bundle.parent / "signers", bundle.parent / "taken")


def test_a_service_that_does_not_answer_is_not_said_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = {"name": "llama-server@a.service", "url": "http://127.0.0.1:1", "model": "a"}
    note = {"engine": "llama.cpp", "directory": "/opt/engines/1-abc", "services": [service]}
    (tmp_path / "llama.cpp").mkdir()
    (tmp_path / "llama.cpp/serving.json").write_text(json.dumps(note))
    monkeypatch.setattr(update, "_NOTES", tmp_path)
    (line,) = update.serving()
    assert line.startswith("llama-server@a.service does not answer")
