"""A throwaway machine of the lab: a tiny model on llama.cpp, fetched from the lab's stand-ins.

With keys in .lab/sandbox/keys.toml, as `make demo` makes one, it has a gateway with a chat page.
"""

import json
from dataclasses import replace
from pathlib import Path

from deploys.planning.acceptance.limits import Limits
from deploys.planning.inputs.gateway import Chat, Gateway
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import GLOBAL, Site
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Network

_folder = Path(__file__).resolve().parents[2] / ".lab" / "sandbox"
_lab = json.loads((_folder / "lab.json").read_text()) if _folder.exists() else {}

site = Site(
    mirrors=replace(
        GLOBAL,
        github=_lab.get("github"),
        modelscope=_lab.get("hub"),
        huggingface=_lab.get("hub"),
    ),
    # The lab makes its model anew each time, so its pins are not worth keeping in git.
    locks=_folder / "locks",
    secrets=_folder / "secrets",
)

_keys = _folder / "keys.toml"

profile = HostProfile(
    gateway=Gateway(
        host=_lab["machines"][0]["address"], keys=_keys, chat=Chat(admin="admin@demo.lab")
    )
    if _keys.exists()
    else None,
    services=(
        Service(
            name="tiny",
            engine="llama.cpp",
            port=8080,
            context=512,
            parallel=2,
            # Split in three, and kept as one file, as tools that cannot read shards want it.
            merge=True,
            model=Model(
                key="tiny-qwen2",
                title="A few hundred kilobytes of made-up Qwen2",
                network=Network(
                    name="tiny-qwen2",
                    parameters=150_000,
                    layers=2,
                    hidden=64,
                    heads=4,
                    kv_heads=2,
                    head_dim=16,
                    vocabulary=277,
                    intermediate=128,
                    context=2048,
                    licence="Apache-2.0",
                ),
                format="gguf",
                quantization="F16",
                modelscope="modelrack-lab/tiny-qwen2-gguf",
                huggingface="modelrack-lab/tiny-qwen2-gguf",
                files=("tiny-qwen2-F16-*.gguf",),
                size=1 << 20,
                source="tests/lab/tiny_model.py",
            ),
        ),
    ),
)

# What a disk of the lab does is up to whatever else its computer is at.
acceptance = Limits(disk_read=0.015, disk_write=0.005, source="a disk of the lab")
