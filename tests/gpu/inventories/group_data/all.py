"""A model out of random bytes on the cards that are found, fetched from stand-ins beside it."""

import json
from dataclasses import replace

from deploys.planning.profile import HostProfile, Service
from deploys.planning.site import GLOBAL, Site
from tests.gpu.deploy import LOCKS, OWNER, TOLD
from tests.gpu.entry import entry
from tests.gpu.shapes import SHAPES

ssh_user = "root"

_told = json.loads(TOLD.read_text())
_name = _told["model"]
_place = f"{OWNER}/{_name}"

site = Site(mirrors=replace(GLOBAL, **_told["mirrors"]), locks=LOCKS)

profile = HostProfile(
    gpu=_told["gpu"],
    gpus=_told["gpus"],
    services=(
        Service(
            name="made-up",
            engine="llama.cpp",
            model=replace(
                entry(SHAPES[_name], _told["size"]), modelscope=_place, huggingface=_place
            ),
            port=8080,
            context=16_384,
            parallel=16,
        ),
    ),
)
