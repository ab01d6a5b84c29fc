"""A machine with a gateway that serves each task, and what its users hold in their hands."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.rack import PROJECT, Rack, Run, environment, run
from tests.e2e.terminal import Session
from tests.lab import tiny_encoder, tiny_projector
from tests.lab.hub import Hub

# The chat model sees images; an encoder makes vectors, another ranks, and a model that was made to
# write makes vectors, too.
DATA = """
from pathlib import Path
from deploys.planning.inputs.gateway import Gateway
_here = Path(__file__).parents[2]
site = replace(site, secrets=_here / "secrets")
(_tiny,) = profile.services
_seeing = replace(
    _tiny.model,
    key="tiny-vision",
    network=replace(_tiny.model.network, name="tiny-vision", images=True),
    files=("tiny-vision-*.gguf",),
    projector="mmproj-*.gguf",
    modelscope="modelrack-lab/tiny-vision-gguf",
    huggingface=None,
)


def _encoder(task):
    network = Network(
        name=f"tiny-{{task}}", parameters=150_000, layers=2, hidden=64, heads=4, kv_heads=4,
        head_dim=16, vocabulary=277, tied_embeddings=True, intermediate=128, context=1024,
        task=task, causal=False, gated_feed_forward=False, licence="Apache-2.0",
    )
    return replace(
        _tiny.model, key=network.name, network=network, files=(f"{{network.name}}-*.gguf",),
        modelscope=f"modelrack-lab/{{network.name}}-gguf", huggingface=None,
    )


profile = replace(
    profile,
    services=(
        replace(_tiny, model=_seeing),
        Service(name="encoder", engine="llama.cpp", port=8081, model=_encoder("embed")),
        Service(name="ranker", engine="llama.cpp", port=8082, model=_encoder("rerank")),
        Service(
            name="reader", engine="llama.cpp", port=8083, model=_tiny.model, merge=True,
            task="embed", parallel=2, options={{"pooling": "last"}},
        ),
    ),
    gateway=Gateway(host={host!r}, keys=_here / "keys.toml"),
)
# Data is what is printed.
del _tiny, _seeing, _encoder
"""


@dataclass
class Site:
    """A machine with a gateway, and the key of each user."""

    rack: Rack
    keys: dict[str, str]

    def chat(self, *words: str, key: str = "", stdin: str | None = None) -> Run:
        """python -m deploys.chat, without a terminal."""
        done = subprocess.run(
            self.command(*words),
            cwd=PROJECT,
            env={**environment(), "MODELRACK_KEY": key},
            input=stdin or "",
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "deploys.chat", self.rack.inventory, *words]

    def at_terminal(self, *words: str) -> Session:
        """The same at a terminal; nobody answers there where the cursor is."""
        return Session(self.command(*words), PROMPT_TOOLKIT_NO_CPR="1", TERM="xterm")

    def ssh(self, command: str) -> str:
        return self.rack.machines[0].ssh(command).stdout


@pytest.fixture(scope="module")
def client_site(lab_factory, lab_hub: Hub, lab_github, tmp_path_factory) -> Iterator[Site]:
    tiny_encoder.publish(lab_hub.root)
    tiny_projector.publish(lab_hub.root)
    lab = lab_factory(1, name="clients")
    folder = tmp_path_factory.mktemp("clients")
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = Rack(lab, hub, github, folder, DATA.format(host=lab.machines[0].address))
    keys = {}
    for user in ("alice", "bob", "carol"):
        new = ["new", user, "lab", "--keys", str(folder / "keys.toml")]
        keys[user] = run([sys.executable, "-m", "deploys.keys", *new]).stdout.strip()
    done = rack.deploy()
    assert done.code == 0, done.output
    yield Site(rack, keys)
