"""Fill a bundle with what one class of machines needs, from the mirrors of the site."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import uv

from deploys.control.bundle import package_lock, programs, record, wheels
from deploys.control.bundle.archive import ArchivePackage, ArchiveSource, Solver
from deploys.planning.bundle.contents import Contents
from deploys.planning.bundle.record import place_of, system_of
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.weights.plan import Weights
from deploys.rendering import render

_KEYRINGS = "/usr/share/keyrings/{}-archive-keyring.gpg"
# NVIDIA's packages need Debian's contrib.
_COMPONENTS = {"debian": ("main", "contrib"), "ubuntu": ("main", "universe")}

Say = Callable[[str], None]


def fill(wanted: Contents, site: Site, bundle: Path, work: Path, say: Say) -> None:
    """Put what is wanted into the bundle; what is there already is not fetched again.

    + work: an empty folder beside the bundle, for what is on its way

    Raise Refusal where something cannot be had; what was fetched before stays.
    """
    bundle.mkdir(parents=True, exist_ok=True)
    packages = _packages(wanted, site, bundle, work)
    say(f"{len(packages)} packages for {system_of(wanted)}")
    for archive in wanted.archives:
        _archive(archive, site, bundle, work)
        say(place_of(archive))
    machine = {"amd64": "x86_64", "arm64": "aarch64"}[wanted.architecture]
    for environment in wanted.environments:
        wheels.fetch(environment, machine, site, bundle)
        if environment.python != wanted.own_python:
            _python(environment.python, machine, site, bundle, work)
        say(f"the packages of {environment.lock} {environment.version}")
    wheels.write_pages(bundle)
    for weights in wanted.weights:
        _weights(weights, site, bundle, work)
        say(f"the weights of {weights.model}")
    names = {each.name for each in packages}
    record.write(bundle, record.read(bundle).with_contents(wanted, names))


def _packages(wanted: Contents, site: Site, bundle: Path, work: Path) -> list[ArchivePackage]:
    sources = list(_sources(wanted, site, work))
    pinned = package_lock.is_pinned(site.locks, system_of(wanted))
    apt = Solver(work / "apt", sources, wanted.architecture, pinned=pinned)
    apt.update()
    apt.follow(wanted.pinning)
    found = apt.closure(wanted.packages)
    package_lock.pin(found, site.locks, system_of(wanted))
    apt.fetch(wanted.packages, found, bundle)
    apt.indexes(bundle)
    return found


def _sources(wanted: Contents, site: Site, work: Path) -> Iterator[ArchiveSource]:
    name = wanted.system.partition(" ")[0]
    archive = getattr(site.mirrors, name)
    security = site.mirrors.debian_security if name == "debian" else archive
    keyring = Path(_KEYRINGS.format(name))
    if not archive or not security:
        raise Refusal(
            f"This site names no archive of {name}, which a bundle is a part of",
            f"Set mirrors.{name} of the site in inventories/group_data"
            + (", and mirrors.debian_security" if name == "debian" else ""),
        )
    if not keyring.exists():
        raise Refusal(
            f"There is no {keyring}, which the archive of {name} is signed with",
            f"Install {name}-archive-keyring on this computer: apt-get install"
            f" {name}-archive-keyring",
        )
    folder = f"{name}-security" if name == "debian" else name
    for suite, url, place in (
        (wanted.suite, archive, name),
        (f"{wanted.suite}-updates", archive, name),
        (f"{wanted.suite}-security", security, folder),
    ):
        yield ArchiveSource(
            folder=place,
            url=url.rstrip("/"),
            suite=suite,
            components=_COMPONENTS[name],
            keyring=keyring,
        )
    for source in wanted.repositories:
        if not source.keyring:
            raise Refusal(
                f"The repository {source.name} has no key that is pinned",
                "Pin it in artifacts.yaml of the site's locks",
            )
        # apt tells the armoured form from the other by this ending.
        key = work / f"{source.name}.{'gpg' if source.key else 'asc'}"
        _vendor_key(source.keyring, source.key, site, work, key)
        origin = site.url(source.keyring.origin)
        yield ArchiveSource(
            folder=f"{source.keyring.origin}{source.url.removeprefix(origin)}",
            url=source.url.rstrip("/"),
            suite=source.suite.split()[0],
            components=tuple(source.suite.split()[1:]),
            keyring=key,
            preferences=render.repository_preferences(source).content,
        )


def _vendor_key(lock: ArtifactLock, inside: str, site: Site, work: Path, key: Path) -> None:
    """Write the key that a vendor's package or file has."""
    fetched = work / "vendor-key"
    spec = {"url": site.url(lock.origin, lock.path), "sha256": lock.sha256, "file": str(fetched)}
    programs.run(work, spec, "artifact")
    if not inside:
        key.write_bytes(fetched.read_bytes())
        return
    unpacked = work / "vendor"
    subprocess.run(["dpkg-deb", "--extract", str(fetched), str(unpacked)], check=True)
    key.write_bytes((unpacked / inside.lstrip("/")).read_bytes())


def _archive(archive: ArtifactLock, site: Site, bundle: Path, work: Path) -> None:
    target = bundle / place_of(archive)
    target.parent.mkdir(parents=True, exist_ok=True)
    url = site.url(archive.origin, archive.path)
    if archive.sha256:
        programs.run(work, {"url": url, "sha256": archive.sha256, "file": str(target)}, "artifact")
    elif not target.exists():
        spec = {
            "url": url,
            "tree_sha256": archive.tree_sha256,
            "strip": 1,
            "directory": str(work / "unpacked" / archive.path.replace("/", "-")),
            "keep": str(target),
        }
        programs.run(work, spec, "artifact")


def _python(version: str, architecture: str, site: Site, bundle: Path, work: Path) -> None:
    """Fetch the interpreter that uv would on a machine, where its mirror has it."""
    build = f"cpython-{version}-linux-{architecture}-gnu"
    asked = [uv.find_uv_bin(), "python", "list", "--only-downloads", "--output-format", "json"]
    told = subprocess.run([*asked, build], capture_output=True, text=True, check=False)
    if told.returncode or not json.loads(told.stdout):
        raise Refusal(
            f"uv knows no {build}", "Have the machine bring a Python that the engine runs on"
        )
    (newest, *_) = json.loads(told.stdout)
    # A server decodes what it is asked for, and so does uv with the address of a file.
    place = Path(unquote(newest["url"].partition("/releases/download/")[2]))
    target = bundle / "python_builds" / place
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "UV_PYTHON_INSTALL_MIRROR": site.url("python_builds"),
        "UV_PYTHON_CACHE_DIR": str(work / "python"),
    }
    done = subprocess.run(
        [
            *(uv.find_uv_bin(), "python", "install", "--no-bin"),
            *("--install-dir", str(work / "unpacked"), build),
        ],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise Refusal(
            f"Python {version} cannot be fetched: {done.stderr.strip().splitlines()[-1]}",
            "Check mirrors.python_builds of the site, then run this again",
        )
    # Kept under a name of uv's own; those before it are in the bundle by now.
    (kept,) = (work / "python").glob("*.tar.*")
    kept.replace(target)


def _weights(weights: Weights, site: Site, bundle: Path, work: Path) -> None:
    directory = bundle / "weights" / weights.model
    spec = {
        "model": weights.model,
        "directory": str(directory),
        "sources": [
            *({"kind": "directory", "endpoint": folder} for folder in weights.folders),
            *(_source(source, site) for source in weights.sources),
        ],
        "files": [asdict(file) for file in weights.files],
        "merge": None,
        "owner": None,
    }
    programs.run(work, spec, "weights", "fetch")


def _source(source: Any, site: Site) -> dict[str, str]:
    """Return a source with the token's file of this computer."""
    told = {name: value for name, value in asdict(source).items() if value is not None}
    told.pop("token_file", None)
    if source.kind in site.tokens:
        told["token_file"] = str(site.tokens[source.kind].expanduser())
    return told
