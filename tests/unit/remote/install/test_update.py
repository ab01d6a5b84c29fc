"""Whose bundles a machine takes, and what it says of its services after an update that failed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from deploys.control.bundle import seal
from deploys.remote.install import update
from deploys.remote.lib.failure import Failure

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
    for who in ("vendor", "stranger"):
        key = tmp_path / who
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "signers").write_text(f"vendor {(tmp_path / 'vendor.pub').read_text()}")
    seal.seal(tmp_path / "bundle", tmp_path / "vendor")
    return tmp_path / "bundle"


def test_what_was_signed_is_taken_and_the_rest_is_read_when_it_is_used(bundle: Path) -> None:
    (bundle / "debian/pool/a.deb").write_bytes(b"other")
    update._check(bundle, "appliance/box/", bundle.parent / "signers")


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
        update._check(bundle, "appliance/box/", bundle.parent / "signers")


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
