"""Fill a bundle with what one class of machines needs, from the mirrors of the site."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uv
import yaml

from deploys.control.bundle import programs, record, wheels
from deploys.control.bundle.archive import ArchivePackage, ArchiveSource, Solver
from deploys.control.replaced import replace
from deploys.planning.bundle.contents import Contents
from deploys.planning.bundle.record import place_of, system_of
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.weights.plan import Weights

_KEYRINGS = "/usr/share/keyrings/{}-archive-keyring.gpg"
_COMPONENTS = {"debian": ("main",), "ubuntu": ("main", "universe")}
_HEADER = "# Written by deploys/bundle.py; keep it in git.\n"

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
            _python(environment.python, site, bundle, work)
        say(f"the packages of {environment.lock} {environment.version}")
    wheels.write_pages(bundle)
    for weights in wanted.weights:
        _weights(weights, site, bundle, work)
        say(f"the weights of {weights.model}")
    record.write(bundle, record.read(bundle).with_contents(wanted))


def _packages(wanted: Contents, site: Site, bundle: Path, work: Path) -> list[ArchivePackage]:
    sources = list(_sources(wanted, site, work))
    apt = Solver(work / "apt", sources, wanted.architecture)
    apt.update()
    found = apt.closure(wanted.packages)
    _lock(found, site, system_of(wanted))
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
    if source := wanted.repository:
        if not source.keyring:
            raise Refusal(
                f"The repository {source.name} has no key that is pinned",
                "Pin it in artifacts.yaml of the site's locks",
            )
        key = work / "vendor.gpg"
        _vendor_key(source.keyring, source.key, site, work, key)
        origin = site.url(source.keyring.origin)
        yield ArchiveSource(
            folder=f"{source.keyring.origin}{source.url.removeprefix(origin)}",
            url=source.url.rstrip("/"),
            suite=source.suite.split()[0],
            components=tuple(source.suite.split()[1:]),
            keyring=key,
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


def _lock(found: list[ArchivePackage], site: Site, system: str) -> None:
    """Pin a closure the first time, and refuse another one from then on."""
    path = site.locks / "packages.yaml"
    pinned: dict[str, Any] = yaml.safe_load(path.read_text()) if path.exists() else {}
    before = pinned.get(system, {})
    now = {each.name: {"version": each.version, "sha256": each.sha256} for each in found}
    apart = [name for name in now if name in before and before[name] != now[name]]
    if apart:
        first = apart[0]
        raise Refusal(
            f"{len(apart)} packages for {system} are others than packages.yaml has, such as"
            f" {first} {now[first]['version']} instead of {before[first]['version']}",
            f"Name a snapshot of the archive in the site, or remove {system} from {path} to take"
            " the new ones",
        )
    if now.keys() <= before.keys():
        return
    site.locks.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump({**pinned, system: {**before, **now}}, sort_keys=True)
    replace(path, _HEADER + text)


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


def _python(version: str, site: Site, bundle: Path, work: Path) -> None:
    """Fetch the interpreter that uv would, where its mirror has it."""
    asked = [uv.find_uv_bin(), "python", "list", "--only-downloads", "--output-format", "json"]
    told = subprocess.run([*asked, version], capture_output=True, text=True, check=True).stdout
    (newest, *_) = json.loads(told)
    place = Path(newest["url"].partition("/releases/download/")[2])
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
        [uv.find_uv_bin(), "python", "install", "--install-dir", str(work / "unpacked"), version],
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
    # Kept under a name of uv's own, which ends with that of the file.
    (kept,) = (work / "python").glob(f"*{place.name}")
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
