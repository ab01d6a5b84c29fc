"""A model out of random bytes on the cards that are found, fetched from stand-ins beside it."""

import json
from dataclasses import replace

from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import GLOBAL, Site
from tests.gpu.deploy import CONTEXT, LOCKS, NAME, OWNER, PORT, TOLD
from tests.gpu.entry import made_up

ssh_user = "root"

_told = json.loads(TOLD.read_text())
_place = f"{OWNER}/{_told['model']}"

site = Site(mirrors=replace(GLOBAL, **_told["mirrors"]), locks=LOCKS)

profile = HostProfile(
    gpu=_told["gpu"],
    gpus=_told["gpus"],
    services=(
        Service(
            name=NAME,
            engine=_told["engine"],
            model=replace(
                made_up(_told["model"], _told["size"]), modelscope=_place, huggingface=_place
            ),
            port=PORT,
            context=CONTEXT,
            parallel=16 if _told["engine"] == "llama.cpp" else None,
        ),
    ),
)
