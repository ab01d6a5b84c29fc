"""A stand-in for NVIDIA's CUDA repository: signed, with packages that apt really installs.

`<url>/<system>/x86_64/` are flat repositories as on NVIDIA's server, `ubuntu2204`, `ubuntu2404`,
`debian12` and `debian13`, each with the keyring package that holds their key. Below
`<url>/archive/` lies what the distribution's own archive has for a driver (DKMS, headers of a
kernel, Canonical's builds), one for each kernel; `connect` lets a machine's apt see one of them.
Built once, then cached; the key that signs it is thrown away after that.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import yaml

from tests.lab import archive_packages, nvidia_packages
from tests.lab.debian_package import Key, Package, build, index, throw_away_key
from tests.lab.http_server import Reply, StandIn, json_reply
from tests.lab.machine import Machine
from tests.lab.tree import cached

SYSTEMS = ("ubuntu2204", "ubuntu2404", "debian12", "debian13")
KEYRING = "cuda-keyring_1.1-1_all.deb"
KEY = "usr/share/keyrings/cuda-archive-keyring.gpg"
_SOURCES = (
    *(Path(__file__).parent / "scripted").glob("*.py"),
    *(Path(nvidia_packages.__file__), Path(archive_packages.__file__), Path(__file__)),
    *(
        Path(__file__).with_name(f"{name}.py")
        for name in ("debian_package", "kernel_module", "nvidia_parts")
    ),
)


class NvidiaRepository(StandIn):
    """The stand-in; `url` is what `Mirrors.cuda` becomes."""

    def __init__(self, root: Path | None = None, bind: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(root or repositories(), bind, port)

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        name = os.path.normpath(path.strip("/"))
        if not name.startswith("..") and (self.root / name).is_file():
            return Reply(name, file=self.root / name)
        return json_reply({"error": f"no {name}"}, 404, name)

    def pin(self, locks: Path) -> None:
        """Its keyring packages count as NVIDIA's for who takes their pins from this folder."""
        sums: dict[str, str] = json.loads((self.root / "keyrings.json").read_text())
        pins = {
            name: {
                "version": "1.1-1",
                "origin": "cuda",
                "path": f"{name.removeprefix('cuda-keyring-')}/x86_64/{KEYRING}",
                "sha256": sha256,
            }
            for name, sha256 in sums.items()
        }
        locks.mkdir(parents=True, exist_ok=True)
        (locks / "artifacts.yaml").write_text(yaml.safe_dump(pins))


def connect(machine: Machine, url: str, system: str, *, alone: bool = True) -> None:
    """Add an archive to what apt reads on a machine.

    `system` is "ubuntu" or "debian" for the host's kernel, another of `archive_packages.KERNELS`
    where the hardware has that release. `url` is the stand-in's on the machine's network; with
    `alone` apt reads nothing else.
    """
    tree = machine.directory / "root"
    key = tree / "usr/share/keyrings/lab-archive.gpg"
    key.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(repositories() / "archive.gpg", key)
    line = f"deb [signed-by=/usr/share/keyrings/lab-archive.gpg] {url}/archive/{system}/ /\n"
    (tree / "etc/apt/sources.list.d/lab-archive.list").write_text(line)
    own = tree / "etc/apt/sources.list"
    if alone and own.exists():
        own.rename(own.with_suffix(".off"))


def repositories() -> Path:
    """The repositories, built when the cache has none for these sources and this kernel."""
    digest = hashlib.sha256(os.uname().release.encode())
    for path in sorted(_SOURCES):
        digest.update(path.read_bytes())
    return cached("nvidia", f"nvidia-{digest.hexdigest()[:12]}", _build)


def _build(made: Path) -> Path:
    with throw_away_key("cudatools (lab) <cudatools@localhost>") as key:
        sums = {f"cuda-keyring-{system}": _nvidia(made, system, key) for system in SYSTEMS}
        (made / "keyrings.json").write_text(json.dumps(sums, indent=2) + "\n")
    with throw_away_key("archive (lab) <archive@localhost>") as key:
        (made / "archive.gpg").write_bytes(key.public)
        for system in archive_packages.KERNELS:
            packages = list(archive_packages.archive(system))
            folder = made / "archive" / system
            build(packages, folder, made / "packages")
            index(packages, folder, system.title(), key)
    return made


def _nvidia(root: Path, system: str, key: Key) -> str:
    """One of NVIDIA's repositories; returns the sha256 of its keyring package."""
    folder = root / system / "x86_64"
    packages = [*nvidia_packages.nvidia(system), _keyring(system, key.public)]
    build(packages, folder, root / "packages")
    index(packages, folder, "NVIDIA CUDA", key)
    return hashlib.sha256((folder / KEYRING).read_bytes()).hexdigest()


def _keyring(system: str, public: bytes) -> Package:
    upstream = "https://developer.download.nvidia.com/compute/cuda/repos"
    line = f"deb [signed-by=/{KEY}] {upstream}/{system}/x86_64/ /\n"
    pin = "Package: *\nPin: release l=NVIDIA CUDA\nPin-Priority: 600\n"
    return Package(
        name="cuda-keyring",
        version="1.1-1",
        architecture="all",
        files={
            KEY: public,
            f"etc/apt/sources.list.d/cuda-{system}-x86_64.list": line,
            "etc/apt/preferences.d/cuda-repository-pin-600": pin,
        },
    )
