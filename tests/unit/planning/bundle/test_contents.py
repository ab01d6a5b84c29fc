"""What a bundle holds of a plan, and what a plan is told that a bundle lacks."""

from __future__ import annotations

import ast
from dataclasses import fields, replace
from pathlib import Path

import pytest

from deploys.control import locks as lock_files
from deploys.planning.bundle.contents import Contents, contents
from deploys.planning.bundle.record import BundleRecord
from deploys.planning.inputs.gateway import Chat, Gateway
from deploys.planning.inputs.locks import ListedFile, WeightsLock
from deploys.planning.inputs.machine import Machine
from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import BUNDLE, Mirrors, Site
from deploys.planning.plan import HostPlan
from deploys.planning.resolve import resolve
from tests.unit.planning.driver.driver_examples import DEBIAN_12, machine

STAGES = Path(__file__).parents[4] / "deploys/stages"
MODEL = "deepseek-r1-distill-qwen-7b-q4_k_m"
FILES = (ListedFile(path="model.gguf", size=5, sha256="a" * 64),)
PIN = WeightsLock(
    hub="modelscope",
    repository="unsloth/DeepSeek-R1-Distill-Qwen-7B-GGUF",
    revision="c" * 40,
    files=FILES,
)
BARE = machine("rtx4090", **DEBIAN_12)


def plan(there: Machine = BARE, *, pinned: bool = True) -> HostPlan:
    site = Site(peers="10.8.0.0/16")
    found = lock_files.read(site.locks)
    services = (
        Service(name="small", engine="llama.cpp", model=MODEL, port=8080),
        Service(name="large", engine="vllm", model="deepseek-r1-distill-qwen-7b", port=8000),
    )
    weights = {MODEL: PIN, "deepseek-r1-distill-qwen-7b": replace(PIN, repository=VLLM)}
    return resolve(
        HostProfile(
            gpu="RTX 4090",
            gpus=8,
            services=services,
            gateway=Gateway(host="ai.lab", chat=Chat(admin="admin@ai.lab")),
            monitoring=Monitoring(),
        ),
        site,
        replace(there, addresses=("10.8.0.5",), ssh_ports=(22,)),
        replace(found, weights=weights if pinned else {}),
    )


VLLM = "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"


@pytest.fixture(scope="module")
def wanted() -> Contents:
    return contents(plan(), BARE)


def test_all_kinds_of_what_a_machine_takes_are_there(wanted: Contents) -> None:
    assert {"haproxy", "nftables", "nginx", "python3", "cmake"} <= {*wanted.packages}
    assert any(name.startswith("nvidia-driver-pinning") for name in wanted.packages)
    assert {each.lock for each in wanted.environments} >= {"nvitop", "open-webui"}
    origins = {archive.origin for archive in wanted.archives}
    assert origins == {"github", "cuda"}
    assert {each.model for each in wanted.weights} == {MODEL, "deepseek-r1-distill-qwen-7b"}
    assert (wanted.suite, wanted.architecture, wanted.own_python) == ("bookworm", "amd64", "3.10")


def test_no_stage_installs_a_package_that_a_bundle_does_not_know(wanted: Contents) -> None:
    """Stages name some packages themselves: each has to be among what a plan takes."""
    named = set()
    for stage in STAGES.glob("*.py"):
        for node in ast.walk(ast.parse(stage.read_text())):
            if isinstance(node, ast.keyword) and node.arg in ("package", "packages"):
                texts = [each for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
                named |= {each.value for each in texts if isinstance(each.value, str)}
    groups = {"prerequisites", "headers", "pinning", "driver", "fabric manager", "monitoring"}
    # No bundle has an authority that would be asked.
    others = {"CUDA libraries", "CUDA compiler", "acme-tiny"}
    assert named - groups - others <= {*wanted.packages}


def test_what_is_not_pinned_is_in_no_bundle() -> None:
    with pytest.raises(Refusal, match=r"is not pinned.*deploys/lock\.py"):
        contents(plan(pinned=False), BARE)


def test_a_system_without_a_known_archive_has_no_bundle() -> None:
    with pytest.raises(Refusal, match=r"There is no bundle for rocky 9\.6"):
        contents(plan(), replace(BARE, os="rocky", os_version="9.6"))


def test_a_bundle_that_was_made_of_it_lacks_nothing(wanted: Contents) -> None:
    made = BundleRecord().with_contents(wanted)
    assert list(made.lacks(wanted)) == []
    assert list(BundleRecord.from_json(made.to_json()).lacks(wanted)) == []


def test_what_belongs_to_what_was_asked_for_is_there_as_well(wanted: Contents) -> None:
    headers = replace(wanted, packages=(*wanted.packages, "linux-headers-6.1.0-99-amd64"))
    assert list(BundleRecord().with_contents(wanted).lacks(headers))
    made = BundleRecord().with_contents(wanted, {"linux-headers-6.1.0-99-amd64"})
    assert list(made.lacks(headers)) == []


def test_each_thing_that_is_not_there_is_named(wanted: Contents) -> None:
    made = BundleRecord().with_contents(wanted)
    more = replace(wanted, packages=(*wanted.packages, "tree"))
    assert [r.reason for r in made.lacks(more)] == ["The bundle lacks tree for debian 12 amd64"]
    other = replace(wanted, system="debian 13")
    assert "no packages for debian 13 amd64" in str(next(iter(made.lacks(other))))
    ollama = replace(wanted.archives[0], origin="ollama", path="v1/x.tgz")
    assert "lacks ollama/v1/x.tgz" in str(*made.lacks(replace(wanted, archives=(ollama,))))
    newer = replace(wanted.environments[0], digest="f" * 12)
    found = made.lacks(replace(wanted, environments=(newer,)))
    assert newer.lock in str(*found)
    changed = replace(wanted.weights[0], files=(replace(FILES[0], sha256="b" * 64),))
    assert f"lacks {changed.model} as it is pinned" in str(
        *made.lacks(replace(wanted, weights=(changed,)))
    )


def test_two_classes_share_a_bundle(wanted: Contents) -> None:
    other = replace(wanted, system="debian 13", packages=("python3",), environments=(), weights=())
    both = BundleRecord().with_contents(wanted).with_contents(other)
    assert list(both.lacks(wanted)) == list(both.lacks(other)) == []


def test_every_origin_but_hubs_and_authorities_is_in_a_bundle() -> None:
    mirrors = BUNDLE("http://10.0.0.5/")
    lacking = {each.name for each in fields(Mirrors) if getattr(mirrors, each.name) is None}
    # Nor can an authority be carried along.
    assert lacking == {"modelscope", "huggingface", "acme"}
    assert mirrors.github == "http://10.0.0.5/github"


@pytest.mark.parametrize(
    ("name", "gpu", "repositories"),
    [("mi300x", "MI300X", ["amdgpu", "rocm"]), ("rtx4090", "RTX 4090", ["cuda-debian12"])],
)
def test_all_repositories_of_a_driver_are_there_with_their_keys(
    name: str, gpu: str, repositories: list[str]
) -> None:
    there = machine(name, **DEBIAN_12)
    site = Site()
    made = resolve(HostProfile(gpu=gpu, gpus=8), site, there, lock_files.read(site.locks))
    found = contents(made, there)
    assert [each.name for each in found.repositories] == repositories
    assert {each.keyring for each in found.repositories} <= {*found.archives}


def test_a_bundle_on_a_disk_has_all_as_files_of_the_machine() -> None:
    mirrors = BUNDLE("/mnt/bundle/")
    assert mirrors.disk == "/mnt/bundle" and Site(mirrors=mirrors).disk == "/mnt/bundle"
    assert mirrors.debian == "file:///mnt/bundle/debian"
    # A folder with wheels: uv reads no page of a folder for links.
    assert mirrors.pytorch == "/mnt/bundle/pypi/files"
    assert Site(mirrors=BUNDLE("http://10.0.0.5")).disk is None
    site = Site(mirrors=mirrors, folders=("/mnt/usb",))
    made = resolve(
        HostProfile(services=(Service(name="m", engine="llama.cpp", model=MODEL, port=8080),)),
        site,
        replace(BARE, gpus=()),
        replace(lock_files.read(site.locks), weights={MODEL: PIN}),
    )
    (weights,) = made.weights
    assert weights.folders == (f"/mnt/usb/{MODEL}", f"/mnt/bundle/weights/{MODEL}")
    assert weights.server is None


@pytest.mark.parametrize("place", ["mnt/bundle", "/mnt/my disk", "ftp://10.0.0.5", "", "/"])
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(Refusal, match="cannot be taken from"):
        BUNDLE(place)
