"""What is said of an image beside it: packages, bill of materials, manifest, sums, signature."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from deploys.control.bundle.seal import sha256
from deploys.control.bundle.signature import sign
from deploys.planning.image.partitions import Partition
from deploys.planning.image.recipe import ImageRecipe

SUMS = "SHA256SUMS"
_SCHEMA = 1


def packages(tree: Path) -> list[tuple[str, str, str]]:
    """Return name, version and architecture of every package of a tree."""
    asked = ["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "-W", "-f"]
    form = "${Package} ${Version} ${Architecture}\n"
    told = subprocess.run([*asked, form], capture_output=True, text=True, check=True).stdout
    found = []
    for line in told.splitlines():
        name, version, architecture = line.split()
        found.append((name, version, architecture))
    return sorted(found)


def python_packages(tree: Path) -> list[tuple[str, str]]:
    """Return name and version of what the engines' own Python environments have."""
    places = tree.glob("opt/modelrack/**/site-packages/*.dist-info")
    names = {path.name.removesuffix(".dist-info").rpartition("-")[::2] for path in places}
    return sorted((name, version) for name, version in names if name)


def bill(recipe: ImageRecipe, tree: Path, plan: dict[str, Any]) -> str:
    """Return the bill of materials, in the form of CycloneDX."""
    identifier = recipe.identifier("bill")
    image = Component(name=recipe.name, type=ComponentType.OPERATING_SYSTEM, bom_ref="image")
    parts = list(_components(recipe, tree, plan))
    bom = Bom(
        serial_number=uuid.UUID(bytes=identifier.bytes, version=4),
        components=parts,
    )
    bom.metadata.timestamp = datetime.fromtimestamp(recipe.epoch, timezone.utc)
    bom.metadata.component = image
    bom.register_dependency(image, parts)
    return str(JsonV1Dot6(bom).output_as_string(indent=1)) + "\n"


def _components(recipe: ImageRecipe, tree: Path, plan: dict[str, Any]) -> Iterator[Component]:
    for name, version, architecture in packages(tree):
        qualifiers = {"arch": architecture, "distro": recipe.suite}
        url = PackageURL("deb", recipe.distribution, name, version, qualifiers)
        yield _component(name, version, ComponentType.LIBRARY, url)
    for name, version in python_packages(tree):
        yield _component(
            name, version, ComponentType.LIBRARY, PackageURL("pypi", None, name, version)
        )
    for each in plan["software"]:
        yield _component(each["name"], each["version"], ComponentType.APPLICATION, None)
    for weights in plan["weights"]:
        for file in weights["files"]:
            name = f"{weights['model']}/{file['path']}"
            yield Component(
                name=name,
                type=ComponentType.MACHINE_LEARNING_MODEL,
                bom_ref=name,
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=file["sha256"])],
                properties=[Property(name="size", value=str(file["size"]))],
            )


def _component(name: str, version: str, kind: ComponentType, url: PackageURL | None) -> Component:
    return Component(
        name=name,
        version=version,
        type=kind,
        purl=url,
        bom_ref=str(url) if url else f"{name}@{version}",
    )


def manifest(
    recipe: ImageRecipe,
    plan: dict[str, Any],
    commit: str,
    host_class: str,
    parts: Sequence[Partition],
    disks: dict[str, dict[str, dict[str, Any]]],
    release: Sequence[str],
) -> str:
    """Return what an image is, as JSON, for programs that write it to disks and look after it.

    + disks: by their names, sum and size of each disk, raw and compressed
    + release: its kernels
    """
    image = disks[recipe.name]
    told = {
        "schema": _SCHEMA,
        "name": recipe.name,
        "class": host_class,
        "system": plan["system"],
        "created": recipe.epoch,
        "commit": commit,
        "raw": image["raw"],
        "zst": image["zst"],
        "disks": disks,
        "weights": recipe.weights,
        "models": sorted(each["model"] for each in plan["weights"]),
        "versions": {
            "kernels": list(release),
            "driver": (plan["driver"] or {}).get("version"),
            "engines": {each["name"]: each["version"] for each in plan["software"]},
        },
        "partitions": [
            {"name": part.name, "type": part.type, "size": part.size, "uuid": part.uuid}
            for part in parts
        ],
    }
    return json.dumps(told, indent=2) + "\n"


def measured(file: Path) -> dict[str, Any]:
    """Return the sum and the size of a file."""
    return {"sha256": sha256(file), "size": file.stat().st_size}


def sign_all(
    output: Path, files: Sequence[Path], key: Path, known: Mapping[str, str] | None = None
) -> None:
    """Write the sums of an image's files, as sha256sum has them, and sign these.

    + known: sums by name of files that have been read already
    """
    known, sums = known or {}, output / SUMS
    lines = (f"{known.get(file.name) or sha256(file)}  {file.name}\n" for file in sorted(files))
    sums.write_text("".join(lines))
    sign(sums, key)
