"""A part of a distribution's archive: its own signed indexes, and a closure of packages.

apt itself decides what belongs to the closure. It starts from a machine that has nothing, so the
result is enough for every machine of the release, whatever is installed there. No key of ours is
involved: machines check the archive's signatures.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from deploys.planning.inputs.refusal import Refusal

# What apt must have in its own folder before it does anything.
_FOLDERS = (
    "etc/apt/preferences.d",
    "etc/apt/apt.conf.d",
    "etc/apt/trusted.gpg.d",
    "var/lib/apt/lists/partial",
    "var/cache/apt/archives/partial",
    "var/lib/dpkg",
)
# What apt writes otherwise in the names of lists. Source: apt, strutl.cc, URItoFileName.
_QUOTED = re.compile(r"""[\\|{}\[\]<>"^~_=!@#$%&*]""")
_URI = re.compile(r"^'([^']+)' (\S+) (\d+) SHA256:(\S+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class ArchiveSource:
    """One suite of an archive.

    + folder: where its archive lies in the bundle
    + url: of the archive
    + suite, components: as in apt's lists; a flat repository has suite "/" and no components
    + keyring: file with the key that signs it
    + preferences: what machines tell apt of it, by which its packages win over another archive's
    """

    folder: str
    url: str
    suite: str
    components: tuple[str, ...]
    keyring: Path
    preferences: str = ""

    @property
    def line(self) -> str:
        parts = " ".join((self.url, self.suite, *self.components))
        return f"deb [signed-by={self.keyring}] {parts}\n"


@dataclass(frozen=True, kw_only=True)
class ArchivePackage:
    """One package of the closure; `path` below its archive, `sha256` of the file."""

    name: str
    version: str
    sha256: str
    folder: str
    path: str


class Solver:
    """apt on the operator's computer, for a machine that exists nowhere.

    + root: an empty folder
    + architecture: of the machine, as the distribution calls it
    + pinned: it is known which packages come of it, so an archive of another day will do
    """

    def __init__(
        self, root: Path, sources: Sequence[ArchiveSource], architecture: str, *, pinned: bool
    ) -> None:
        self._root, self._sources = root, sources
        for folder in _FOLDERS:
            (root / folder).mkdir(parents=True)
        root.chmod(0o755)
        (root / "var/lib/dpkg/status").touch()
        for number, each in enumerate(sources):
            if each.preferences:
                (root / f"etc/apt/preferences.d/{number}").write_text(each.preferences)
        (root / "etc/apt/sources.list").write_text("".join(each.line for each in sources))
        settings = {
            "Dir": root,
            "Dir::State::status": root / "var/lib/dpkg/status",
            "Acquire::Languages": "none",
            # Of the sums that an archive has, this one is told.
            "Acquire::ForceHash": "SHA256",
            "Acquire::Check-Valid-Until": "false" if pinned else "true",
            "Acquire::IndexTargets::deb::Packages::KeepCompressed": "true",
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Install-Recommends": "0",
            "APT::Sandbox::User": "root",
            "Debug::NoLocking": "1",
        }
        self._options = [
            word for key, value in settings.items() for word in ("-o", f"{key}={value}")
        ]

    def update(self) -> None:
        """Read the archives' indexes and check their signatures."""
        self._run("update")

    def follow(self, packages: Sequence[str]) -> None:
        """Have apt be told what it is on a machine that has these packages: their preferences.

        A machine installs them before what they are about.
        """
        for number, name in enumerate(packages):
            folder = self._root / "followed" / str(number)
            folder.mkdir(parents=True)
            self._run("download", name, folder=folder)
            (package,) = folder.glob("*.deb")
            subprocess.run(["dpkg-deb", "--extract", str(package), str(folder)], check=True)
            for told in folder.glob("etc/apt/preferences.d/*"):
                shutil.copy(told, self._root / "etc/apt/preferences.d")

    def closure(self, packages: Sequence[str]) -> list[ArchivePackage]:
        """Return what a bare machine would be sent to have these packages."""
        listed = self._run("install", "--yes", "--print-uris", *packages)
        return [self._package(*match) for match in _URI.findall(listed)]

    def fetch(self, packages: Sequence[str], found: Sequence[ArchivePackage], bundle: Path) -> None:
        """Fetch the files of a closure, each checked by apt, into the bundle."""
        self._run("install", "--yes", "--download-only", *packages)
        cache = self._root / "var/cache/apt/archives"
        for package in found:
            target = bundle / package.folder / package.path
            target.parent.mkdir(parents=True, exist_ok=True)
            name = f"{package.name}_{package.version.replace(':', '%3a')}_"
            (fetched,) = cache.glob(f"{glob.escape(name)}*.deb")
            shutil.move(fetched, target)

    def indexes(self, bundle: Path) -> None:
        """Put the archives' indexes into the bundle, as they were signed."""
        for source in self._sources:
            flat = source.suite == "/"
            folder = bundle / source.folder / ("" if flat else f"dists/{source.suite}")
            folder.mkdir(parents=True, exist_ok=True)
            base = source.url if flat else f"{source.url}/dists/{source.suite}"
            kept = self._kept(base, "InRelease")
            shutil.copyfile(kept, folder / "InRelease")
            release = kept.read_text()
            # What is there of other classes has to be of the same day as the signature.
            there = folder.glob("*/binary-*/Packages*")
            others = {path.relative_to(folder).as_posix() for path in there}
            signed = {name for name in others if f" {name}\n" in release}
            for index in sorted({*self._named(source, release)} | signed):
                self._index(base, folder, release, index)

    def _named(self, source: ArchiveSource, release: str) -> list[str]:
        """Return the indexes that apt asks for, in the shortest form that is signed."""
        if source.suite == "/":
            return [_shortest("Packages", release)]
        architecture = dict(pair.split("=", 1) for pair in self._options[1::2])["APT::Architecture"]
        return [
            _shortest(f"{component}/binary-{architecture}/Packages", release)
            for component in source.components
        ]

    def _index(self, base: str, folder: Path, release: str, index: str) -> None:
        digest = _digest(index, release)
        by_hash = (folder / index).parent / "by-hash" / "SHA256" / digest
        by_hash.parent.mkdir(parents=True, exist_ok=True)
        wanted = f"{base}/{Path(index).parent / 'by-hash' / 'SHA256' / digest}"
        plain = f"{base}/{index}"
        addresses = (wanted, plain) if "Acquire-By-Hash: yes" in release else (plain,)
        for address in addresses:
            helper = ["/usr/lib/apt/apt-helper", *self._options, "download-file"]
            done = subprocess.run(
                [*helper, address, str(by_hash), f"SHA256:{digest}"],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode == 0:
                break
        else:
            raise Refusal(
                f"The archive does not send {index} as it was signed: {_last(done.stderr)}",
                "Run this again; where it stays, name another mirror in the site",
            )
        target = folder / index
        target.unlink(missing_ok=True)
        os.link(by_hash, target)

    def _package(self, url: str, file: str, size: str, digest: str) -> ArchivePackage:
        name, version, _ = file.split("_", 2)
        for source in self._sources:
            if url.startswith(f"{source.url.rstrip('/')}/"):
                path = unquote(url[len(source.url.rstrip("/")) + 1 :])
                return ArchivePackage(
                    name=name,
                    version=unquote(version),
                    sha256=digest,
                    folder=source.folder,
                    path=path.removeprefix("./"),
                )
        raise AssertionError(f"{url} is of none of the archives")

    def _kept(self, base: str, name: str) -> Path:
        """Return the file that apt has kept of an address."""
        bare = re.sub(r"^\w+://(?:[^/@]*@)?", "", f"{base.rstrip('/')}/{name}")
        called = _QUOTED.sub(lambda each: f"%{ord(each[0]):02x}", bare).replace("/", "_")
        found = self._root / "var/lib/apt/lists" / called
        if not found.exists():
            raise Refusal(
                f"{base} has no {name}, which a bundle takes its signature from",
                "Name a mirror in the site that has it",
            )
        return found

    def _run(self, *words: str, folder: Path | None = None) -> str:
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        done = subprocess.run(
            ["apt-get", *self._options, *words],
            capture_output=True,
            text=True,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        # An index that cannot be had is a warning to apt, which goes on without it.
        broken = re.search(r"^(?:E|Err|W): .*(?:Failed to fetch|NO_PUBKEY).*", done.stderr, re.M)
        if done.returncode or broken:
            raise Refusal(
                f"apt cannot {words[0]} from the archives of this site: {_last(done.stderr)}",
                "Check mirrors.debian, debian_security and cuda of the site, then run this again",
            )
        return done.stdout


def _shortest(index: str, release: str) -> str:
    for ending in (".xz", ".gz", ""):
        if re.search(rf"^ [0-9a-f]{{64}} +\d+ {re.escape(index + ending)}$", release, re.M):
            return index + ending
    raise Refusal(
        f"The archive signs no {index}", "Name a mirror in the site that has this architecture"
    )


def _digest(index: str, release: str) -> str:
    found = re.search(rf"^ ([0-9a-f]{{64}}) +\d+ {re.escape(index)}$", release, re.M)
    assert found, index
    return found[1]


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no word why"
