"""What an image has beside what was deployed: how it boots, and becomes a unit of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.software import PROGRAMS
from deploys.planning.gateway import plan as gateway
from deploys.planning.gateway.key import OWNER, OWNERS_TEAM
from deploys.planning.image import partitions
from deploys.planning.image.recipe import ImageRecipe
from deploys.planning.unit_names import FOLDER, IDENTITY, SELF_TEST
from deploys.planning.unit_names import file as unit_file
from deploys.rendering.templates import Rendered, file, text

# remote/unit/settings.py
_SETTINGS = "/etc/modelrack/unit.json"
_IDENTITY = "/var/lib/modelrack/unit/identity.json"
# What a unit's systemd grows its root by: it is the last partition.
_GROWN = "[Partition]\nType=root\n"
_BROUGHT = "/lib/systemd/system"
_NETWORK = "systemd-networkd"
# Links that enable units, by their path. The network's are the distribution's, as systemctl would.
ENABLED = {
    f"{FOLDER}/dbus-org.freedesktop.network1.service": f"{_BROUGHT}/{_NETWORK}.service",
    f"{FOLDER}/multi-user.target.wants/{_NETWORK}.service": f"{_BROUGHT}/{_NETWORK}.service",
    f"{FOLDER}/sockets.target.wants/{_NETWORK}.socket": f"{_BROUGHT}/{_NETWORK}.socket",
    f"{FOLDER}/network-online.target.wants/{_NETWORK}-wait-online.service": (
        f"{_BROUGHT}/{_NETWORK}-wait-online.service"
    ),
    f"{FOLDER}/sysinit.target.wants/{IDENTITY}": unit_file(IDENTITY),
    f"{FOLDER}/multi-user.target.wants/{SELF_TEST}": unit_file(SELF_TEST),
}


def files(
    recipe: ImageRecipe, plan: dict[str, Any], commit: str, kernels: Sequence[str]
) -> tuple[Rendered, ...]:
    """Return the files of a tree that make it an image's.

    + plan: what was carried out there (state.json)
    + kernels: releases, the newest first
    """
    root = recipe.identifier("root")
    models = f"{plan['site']['data_root']}/models"
    weights = None if recipe.weights == "root" else recipe.identifier("weights")
    settings = {
        "name": recipe.name,
        "image": recipe.name,
        "commit": commit,
        "services": [_service(each) for each in plan["services"]],
        "gateway": _gateway(plan["gateway"]),
    }
    return (
        Rendered(path=_SETTINGS, content=json.dumps(settings, indent=2) + "\n", mode="644"),
        Rendered(path="/etc/repart.d/50-root.conf", content=_GROWN, mode="644"),
        file("image/fstab", "/etc/fstab", root=root, weights=weights, models=models),
        file("image/network", "/etc/systemd/network/80-modelrack.network"),
        file("image/grub.cfg", "/boot/grub/grub.cfg", root=root, kernels=kernels),
        file(f"image/{IDENTITY}", unit_file(IDENTITY), programs=PROGRAMS, identity=_IDENTITY),
        file(f"image/{SELF_TEST}", unit_file(SELF_TEST), programs=PROGRAMS),
    )


def stub(recipe: ImageRecipe) -> str:
    """Return what the signed boot loader reads first, and finds its settings by."""
    return text("image/stub.cfg", root=partitions.root_of(recipe, 0).file_system)


def _service(planned: dict[str, Any]) -> dict[str, Any]:
    return {name: planned[name] for name in ("name", "unit", "task")} | {
        "served": ENGINES[planned["engine"]].model_id.format(planned["name"]),
        "url": f"http://127.0.0.1:{planned['port']}",
    }


def _gateway(planned: dict[str, Any] | None) -> dict[str, Any] | None:
    if not planned or not planned["host"]:
        return None
    return {
        "folder": gateway.FOLDER,
        "certificate": gateway.CERTIFICATE,
        "group": gateway.USER,
        "host": planned["host"],
        "user": OWNER,
        "team": OWNERS_TEAM,
    }
