"""One of each building block that the first machine of the sandbox does not use."""

from dataclasses import replace
from pathlib import Path

from pyinfra import host

from deploys.control.current_plan import current_plan
from deploys.operations import artifact, files, firewall, host_lock, job, packages, venv
from deploys.operations.files import Directory, File, Link
from deploys.operations.services import ollama
from deploys.operations.services.ollama import Registration
from deploys.planning.engines.software import Environment
from deploys.planning.gateway.firewall import FirewallPlan, Opening
from deploys.planning.inputs.locks import ArtifactLock
from deploys.rendering import firewall as firewall_files
from deploys.stages import base, weights

plan = current_plan()
host_lock.acquire(name="Keep other runs away")
base.install()

files.put(
    name="Write a secret",
    entries=[
        Directory(path="/etc/blocks", mode="750"),
        File(path="/etc/blocks/key", content=Path(host.data.secret).read_text(), mode="600"),
        Link(path="/etc/blocks/current", target="/etc/blocks/key"),
    ],
)
job.run(
    name="Do something once",
    job="once-1",
    argv=["sh", "-c", "for step in 1 2 3; do echo [$step/3]; sleep 1; done; date >> /root/once"],
)
artifact.unpacked(
    name="Unpack an archive",
    artifact=ArtifactLock(version="1", origin="github", **host.data.stub),
    directory="/opt/modelrack/stub-1",
    site=plan.site,
)
venv.installed(
    name="Make an environment",
    environment=Environment(
        name="blocks",
        version="1",
        # A lock of the test's own, by its whole path.
        lock=host.data.requirements.removesuffix(".txt"),
        digest="0123456789ab",
        python="/usr/bin/python3",
        imports=("idna",),
    ),
    site=plan.site,
)
weights.fetch()
tiny = Registration(
    name="tiny",
    directory=plan.weights[0].directory,
    models=f"{plan.site.data_root}/ollama",
    version="0.35.0",
    program="/nowhere/ollama",
    owner="nobody",
)
ollama.registered(name="Have Ollama know a model", models=[tiny])
ollama.unregistered(name="Have Ollama forget another", models=[replace(tiny, name="never-there")])
packages.installed(name="Install nftables", packages=("nftables",), manager=plan.package_manager)
rules, *units = map(
    File.of, firewall_files.files(FirewallPlan(openings=(Opening(name="SSH", ports=(22,)),)))
)
firewall.loaded(
    name="Close every port but that of SSH",
    rules=rules,
    units=[Directory(path=firewall_files.DROP_IN_FOLDER), *units],
)
