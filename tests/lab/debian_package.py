"""Debian packages as data, built with dpkg-deb, and signed flat repositories of them."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import temporary
from tests.lab.process import run


@dataclass(frozen=True, kw_only=True)
class Package:
    """One binary package.

    + fields: further fields of its control file: Depends, Provides, Conflicts, Source, ...
    + files: contents by path; those below a bin or sbin folder are executable
    + links: targets by path
    + scripts: maintainer scripts: postinst, prerm, ...
    """

    name: str
    version: str
    architecture: str = "amd64"
    fields: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    scripts: Mapping[str, str] = field(default_factory=dict)

    @property
    def filename(self) -> str:
        """The epoch is no part of it."""
        version = self.version.partition(":")[2] or self.version
        return f"{self.name}_{version}_{self.architecture}.deb"

    @property
    def control(self) -> str:
        lines = [
            f"Package: {self.name}",
            f"Version: {self.version}",
            f"Architecture: {self.architecture}",
            "Maintainer: The lab <lab@localhost>",
            *(f"{name}: {value}" for name, value in self.fields.items() if value),
            "Description: stands for the package of this name on test machines",
        ]
        return "\n".join(lines) + "\n"


def build(packages: Iterable[Package], folder: Path, shared: Path) -> None:
    """Build all of them into `folder`; what two folders have alike is built once, in `shared`."""
    folder.mkdir(parents=True)
    shared.mkdir(exist_ok=True)

    def make(package: Package) -> None:
        place = shared / f"{hashlib.sha256(repr(package).encode()).hexdigest()[:16]}.deb"
        if not place.exists():
            _build(package, place)
        (folder / package.filename).hardlink_to(place)

    with ThreadPoolExecutor() as pool:
        list(pool.map(make, packages))


def index(packages: Iterable[Package], folder: Path, label: str, key: Key) -> None:
    """Write Packages and a signed Release for the packages that lie in `folder`."""
    stanzas = []
    for package in packages:
        content = (folder / package.filename).read_bytes()
        stanzas.append(
            f"{package.control}Filename: ./{package.filename}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
    text = "\n".join(stanzas).encode()
    indexes = {"Packages": text, "Packages.gz": gzip.compress(text)}
    sums = []
    for name, content in indexes.items():
        (folder / name).write_bytes(content)
        sums.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {name}")
    date = time.strftime("%a, %d %b %Y %H:%M:%S UTC", time.gmtime())
    (folder / "Release").write_text(
        f"Origin: {label.split()[0]}\nLabel: {label}\nArchitectures: amd64\nDate: {date}\n"
        "SHA256:\n" + "\n".join(sums) + "\n"
    )
    key.sign(folder / "Release")


@dataclass(frozen=True)
class Key:
    """A key pair for as long as a repository is being made; afterwards only `public` is left."""

    home: Path
    public: bytes

    def sign(self, release: Path) -> None:
        """Write InRelease and Release.gpg beside it."""
        detached, inline = release.with_name("Release.gpg"), release.with_name("InRelease")
        _gpg(self.home, "--armor", "--output", str(detached), "--detach-sign", str(release))
        _gpg(self.home, "--output", str(inline), "--clearsign", str(release))


@contextmanager
def throw_away_key(name: str) -> Iterator[Key]:
    # The agent's socket needs a short path.
    with temporary.folder("modelrack-key-") as home:
        try:
            _gpg(home, "--passphrase", "", "--quick-gen-key", name, "ed25519", "sign", "never")
            public = subprocess.run(
                ["gpg", "--homedir", str(home), "--batch", "--export"],
                capture_output=True,
                check=True,
            ).stdout
            yield Key(home, public)
        finally:
            run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False)


def _gpg(home: Path, *words: str) -> None:
    run(["gpg", "--homedir", str(home), "--batch", "--quiet", "--yes", *words])


def _build(package: Package, deb: Path) -> None:
    with temporary.folder("modelrack-deb-") as tree:
        tree.chmod(0o755)
        for place, content in package.files.items():
            path = tree / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            path.chmod(0o755 if path.parent.name in ("bin", "sbin") else 0o644)
        for place, target in package.links.items():
            path = tree / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)
        control = tree / "DEBIAN"
        control.mkdir()
        (control / "control").write_text(package.control)
        for script, text in package.scripts.items():
            (control / script).write_text(f"#!/bin/sh\nset -e\n{text}")
            (control / script).chmod(0o755)
        run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(deb)])
