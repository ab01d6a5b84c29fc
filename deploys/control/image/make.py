"""An image from its inventory to its signature."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deploys.control import keys
from deploys.control.bundle import record
from deploys.control.image import archives, assembled, deployed, described, sealed
from deploys.control.image.deployed import TreeDeploy
from deploys.planning.image.recipe import ALWAYS, ImageRecipe
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import GLOBAL
from deploys.rendering.appliance import image as rendering

_ADD = (
    "Add it with deploys/bundle.py and --data image=yes where there is a way out; instead of yes"
    " name --kernel and each --package that you give, with commas between them"
)
# Of the site's addresses those that anybody knows.
_PUBLIC = {value for value in vars(GLOBAL).values() if value}


def make(
    recipe: ImageRecipe, wanted: TreeDeploy, output: Path, key: Path, say: Callable[[str], None]
) -> list[Path]:
    """Make an image with what is said of it, and return its files.

    + output: folder, where nothing of this name is yet
    + key: the vendor's, that signs it: a private key of OpenSSH

    Raise Refusal where it cannot be made; nothing is in the folder then.
    """
    name = recipe.name
    if there := [path.name for path in output.glob(f"{name}.*")]:
        raise Refusal(f"{output} has {there[0]} already", "Name another folder, or another --name")
    for file in (key, wanted.golden):
        if not file.is_file():
            raise Refusal(f"There is no {file}", "Name a file that is there")
    site = wanted.data["site"]
    _check_gateway(wanted.data["profile"]["gateway"])
    _check_bundle(site, recipe)
    output.mkdir(parents=True, exist_ok=True)
    archives.tools()  # A refusal is due before the work.
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=output) as folder:
        work = Path(folder)
        work.chmod(0o755)
        tree = work / "tree"
        say(f"base tree of {recipe.suite}")
        mirrors = _mirrors(recipe, site)

        def base() -> None:
            if tree.exists():
                shutil.rmtree(tree)
            archives.base(recipe, tree, mirrors, pinned=deployed.is_pinned(site, recipe))

        deployed.deploy(wanted, recipe, tree, base, say)
        say("deployed; sealing and assembling it")
        own_sources = not mirrors
        files = finish(recipe, wanted, tree, work, key, own_sources, _inner(site["mirrors"]))
        return [path.replace(output / path.name) for path in files]


def finish(
    recipe: ImageRecipe,
    wanted: TreeDeploy,
    tree: Path,
    work: Path,
    key: Path,
    own_sources: bool,
    inner: Sequence[str],
) -> list[Path]:
    """Seal a deployed tree, assemble and describe it; return the files of the image.

    + work: folder for what is made
    + own_sources: packages came from the distribution's own archive
    + inner: addresses that this site alone has
    """
    name, plan = recipe.name, deployed.record(tree)
    models = f"{plan['site']['data_root']}/models"
    kernels = assembled.kernels(tree)
    there = tree / models.lstrip("/")
    sealed.seal(tree, recipe.epoch, there, own_sources=own_sources)
    _write(tree, recipe, plan, kernels)
    sealed.check(tree, sealed.builders(str(work), *inner), there)
    sealed.clamp(tree, recipe.epoch)
    tools = archives.tools()
    stub = rendering.stub(recipe)
    first, parts, second = assembled.assemble(recipe, tree, tools, work, models, stub)
    files, disks = [], {}
    for raw, called in ((first, name), (second, f"{name}-weights")):
        if raw:
            of_raw = described.measured(raw)
            files.append(work / f"{called}.raw.zst")
            assembled.compress(raw, files[-1], tools)
            disks[called] = {"raw": of_raw, "zst": described.measured(files[-1])}
    lines = [" ".join(each) for each in described.packages(tree)]
    told = described.manifest(
        recipe, plan, deployed.commit(), wanted.inventory.stem, parts, disks, kernels
    )
    files += [
        _text(work / f"{name}.packages", "\n".join(lines) + "\n"),
        _text(work / f"{name}.cdx.json", described.bill(recipe, tree, plan)),
        _text(work / f"{name}.manifest.json", told),
    ]
    packed = {f"{called}.raw.zst": disk["zst"]["sha256"] for called, disk in disks.items()}
    described.sign_all(work, files, key, packed)
    return [*files, work / described.SUMS, work / f"{described.SUMS}.sig"]


def _write(tree: Path, recipe: ImageRecipe, plan: dict[str, Any], kernels: list[str]) -> None:
    for each in rendering.files(recipe, plan, deployed.commit(), kernels):
        path = tree / each.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(each.content)
        path.chmod(int(each.mode, 8))
    for link, target in rendering.ENABLED.items():
        path = tree / link.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)


def _mirrors(recipe: ImageRecipe, site: dict[str, Any]) -> list[str]:
    """Return the site's mirrors of the distribution and of its security updates, if it has them."""
    main = site["mirrors"][recipe.distribution]
    security = site["mirrors"]["debian_security"] if recipe.distribution == "debian" else main
    return [main, security] if main and security else []


def _inner(mirrors: dict[str, str | None]) -> list[str]:
    """Return the addresses that this site alone has."""
    return [url for url in mirrors.values() if url and url not in _PUBLIC]


def _check_gateway(wanted: dict[str, Any] | None) -> None:
    """Refuse a gateway that each unit cannot make its own.

    + wanted: that of the profile
    """
    if not wanted:
        return
    if wanted["chat"]:
        raise Refusal(
            "The chat page has accounts and a key that each unit would have to make for itself,"
            " and no image does that yet",
            "Take chat out of the gateway of this class",
        )
    if wanted["certificate"]:
        raise Refusal(
            "The gateway of this class has a certificate of its own or asks for one by ACME, and"
            " each unit of an image makes one that vouches for itself",
            "Take certificate out of the gateway of this class",
        )
    if keys.read(Path(wanted["keys"])):
        raise Refusal(
            "The gateway of this class lets users in, and each unit would have the same keys",
            "Name a keys file without keys in its profile: each unit makes a key of its own",
        )


def _check_bundle(site: dict[str, Any], recipe: ImageRecipe) -> None:
    """Refuse a bundle that the image cannot be made of."""
    if disk := site["mirrors"].get("disk"):
        raise Refusal(
            f"This site takes all from {disk} of each machine, which the tree of an image is not",
            f"Serve it while the image is made, as with: python3 -m http.server -d {disk}; and"
            ' name that in the site: BUNDLE("http://127.0.0.1:8000")',
        )
    if site["bundle"]:
        there = record.read(Path(site["bundle"]))
        for refusal in there.lacks_packages((*ALWAYS, *recipe.all_packages), recipe.system):
            raise Refusal(refusal.reason, _ADD)


def _text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path
