"""Planning: what is decided, and what may be so."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.planning.engines.software import Build
from deploys.planning.inputs.locks import Locks
from deploys.planning.inputs.machine import Holder
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import CN, GLOBAL, Site
from deploys.planning.models.catalogue import CATALOGUE
from deploys.planning.package_manager import Apt
from deploys.planning.plan import HostPlan
from deploys.rendering import page
from tests.unit.planning.plan_examples import (
    GIB,
    SHARDS,
    disk,
    locks,
    machine,
    model,
    plan,
    profile,
    service,
)
from tests.unit.rendering.render_examples import PLANS, V100, WITH_KEYS

ACCEPTED: dict[str, Callable[[], HostPlan]] = {
    "our own unit holds the port": lambda: plan(
        machine=machine(ports={8080: "llama-server@tiny.service"})
    ),
    "a service that is planned no more holds the port": lambda: plan(
        machine=machine(ports={8080: "vllm@tiny.service"}, served=("vllm@tiny.service",))
    ),
    "the bytes are on the disk already": lambda: plan(
        machine=machine(disks=(disk(GIB // 2),), stored={"tiny": 3 * GIB})
    ),
    "more bytes are there than the model has": lambda: plan(
        machine=machine(disks=(disk(0),), stored={"tiny": 9 * GIB})
    ),
    "the disk is large enough to the byte": lambda: plan(
        machine=machine(disks=(disk(int(3 * GIB * 1.05)),))
    ),
    "a release without a known name, from its own archive": lambda: plan(
        machine=machine(os="debian", os_version="14")
    ),
    "a release without a known name, and a mirror of the other distribution": lambda: plan(
        machine=machine(os="ubuntu", os_version="25.10"),
        site=Site(mirrors=replace(CN, ubuntu=None)),
    ),
    "the newest Debian": lambda: plan(machine=machine(os="debian", os_version="13")),
    "the oldest Ubuntu": lambda: plan(machine=machine(os="ubuntu", os_version="22.04")),
    "locked and pinned": lambda: plan(profile(locked=True)),
    "one hub is enough": lambda: plan(site=Site(mirrors=replace(GLOBAL, modelscope=None))),
    "two services of one model": lambda: plan(
        profile(service(), service(name="b", port=8081)), machine=machine(memory=4 * GIB)
    ),
    "no services": lambda: plan(HostProfile()),
}


@pytest.mark.parametrize("attempt", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_is_not_refused(attempt: Callable[[], HostPlan]) -> None:
    attempt()


def test_a_split_model_is_opened_at_its_first_shard() -> None:
    weights = plan(pins=locks(tuple(reversed(SHARDS)))).weights[0]
    assert weights.merge is None
    assert weights.entry == "/data/models/tiny/tiny-00001-of-00003.gguf"


def test_a_merged_model_is_named_like_its_shards() -> None:
    pins = locks([f"F16/{shard}" for shard in SHARDS])
    weights = plan(profile(service(merge=True)), pins=pins).weights[0]
    assert weights.merge == "tiny.gguf"
    assert weights.entry == "/data/models/tiny/tiny.gguf"


def test_a_single_file_is_not_merged() -> None:
    weights = plan(profile(service(merge=True)), pins=locks(["tiny.gguf"])).weights[0]
    assert (weights.merge, weights.entry) == (None, "/data/models/tiny/tiny.gguf")


def test_what_is_not_pinned_yet_is_reported_and_has_the_published_size() -> None:
    unpinned = plan(pins=replace(locks(), weights={}))
    assert unpinned.unlocked == ("tiny",)
    assert unpinned.weights[0].size == model().size
    assert unpinned.weights[0].entry is None
    assert any("tiny is not pinned yet" in warning for warning in unpinned.warnings)
    assert not plan().warnings


def test_sources_are_asked_in_the_order_of_the_site_at_the_pinned_revision() -> None:
    pinned = plan(site=Site(mirrors=CN)).weights[0].sources
    assert [(source.kind, source.repository, source.revision) for source in pinned] == [
        ("modelscope", "o/tiny", "c0ffee"),
        # A commit of one hub says nothing on the other; there the hashes must agree.
        ("huggingface", "o/tiny-hf", "main"),
    ]
    assert pinned[1].endpoint == CN.huggingface
    turned = plan(site=Site(hubs=("huggingface", "modelscope"))).weights[0].sources
    assert [source.kind for source in turned] == ["huggingface", "modelscope"]


def test_context_is_bounded_by_the_model() -> None:
    assert plan(profile(service(context=None))).services[0].context <= model().network.context
    assert plan(profile(service(context=4096))).services[0].context == 4096


UBUNTU = machine(os="ubuntu", os_version="24.04")


@pytest.mark.parametrize(
    ("made", "apt"),
    [
        (plan(site=Site(apt_lock_wait=42)), Apt(lock_wait=42)),
        (
            plan(site=Site(mirrors=CN)),
            Apt(lock_wait=600, mirror=CN.debian, security=CN.debian_security, suite="bookworm"),
        ),
        (
            plan(site=Site(mirrors=CN), machine=UBUNTU),
            Apt(lock_wait=600, mirror=CN.ubuntu, security=CN.ubuntu, suite="noble"),
        ),
        (
            plan(site=Site(mirrors=replace(CN, debian_security=None))),
            Apt(lock_wait=600, mirror=CN.debian, security=CN.debian, suite="bookworm"),
        ),
        (plan(site=Site(mirrors=replace(CN, debian=None))), Apt(lock_wait=600)),
        (plan(site=Site(mirrors=replace(CN, ubuntu=None)), machine=UBUNTU), Apt(lock_wait=600)),
    ],
    ids=[
        *("no mirror", "debian", "ubuntu", "no mirror of security"),
        *("debian at a site of ubuntu", "ubuntu at a site of debian"),
    ],
)
def test_apt_reads_the_mirror_of_its_distribution_or_its_own_lists(
    made: HostPlan, apt: Apt
) -> None:
    assert made.package_manager == apt


def test_threads_are_the_physical_cores() -> None:
    assert plan(machine=machine(cores=7)).services[0].threads == 7


def prompts(made: HostPlan) -> list[int]:
    """What each service may keep of answered prompts."""
    return [each.placement.ledger.host.get("prompt cache", 0) for each in made.services]


def test_answered_prompts_take_what_nobody_needs_and_no_other_service_changes_that() -> None:
    two = profile(service(), service(name="b", port=8081))
    assert prompts(plan(machine=machine(memory=256 * GIB))) == [8 * GIB]
    assert prompts(plan()) == [2 * GIB]
    assert prompts(plan(two)) == [2 * GIB, 2 * GIB]
    # Whole steps, as one kernel counts a little less memory than another.
    assert prompts(plan(machine=machine(memory=33 * GIB))) == [2 * GIB]
    short = plan(two, machine=machine(memory=4 * GIB))
    assert prompts(short) == [0, 0]


def test_a_service_answers_on_the_loopback_address_alone() -> None:
    assert plan().services[0].url == "http://127.0.0.1:8080"


def llama_cpp(made: HostPlan) -> Build:
    found = made.software_of("llama.cpp")
    assert isinstance(found, Build)
    return found


BUILD = llama_cpp(plan()).digest


@pytest.mark.parametrize(
    "other",
    [
        plan(pins=locks(tree_sha256="b" * 64)),
        plan(pins=locks(version="b2")),
        plan(machine=machine(isa="x86-64-v4")),
        plan(machine=machine(isa="x86-64-v2")),
        plan(machine=machine(os_version="13")),
        plan(machine=machine(os="ubuntu", os_version="22.04")),
        plan(machine=machine(isa="aarch64", architecture="aarch64")),
    ],
    ids=["source", "version", "newer isa", "older isa", "release", "distribution", "architecture"],
)
def test_another_source_option_or_toolchain_is_another_build(other: HostPlan) -> None:
    build = llama_cpp(other)
    assert build.digest != BUILD
    assert build.digest in build.directory


@pytest.mark.parametrize(
    "same",
    [
        plan(machine=machine(hostname="other", cpu="other", cores=2, memory=64 * GIB)),
        plan(profile(service(port=9000, context=512, merge=True))),
        plan(site=Site(mirrors=CN, data_root="/srv")),
        plan(machine=machine(kernel="7.0", python="3.14")),
    ],
    ids=["machine", "service", "site", "kernel"],
)
def test_machines_of_one_kind_share_a_build(same: HostPlan) -> None:
    assert llama_cpp(same).digest == BUILD


def test_packages_that_compile_do_not_make_another_build() -> None:
    build = llama_cpp(plan())
    assert replace(build, packages=("clang",)).digest == build.digest


ON_CARDS = llama_cpp(PLANS["on cards"])


def test_on_cards_it_is_compiled_for_them_with_the_toolkit_of_the_lane() -> None:
    assert ON_CARDS.toolchain == "ubuntu-22.04-x86_64-cuda-12.9"
    assert {
        "GGML_CUDA=ON",
        "CMAKE_CUDA_ARCHITECTURES=70-real",
        "CMAKE_CUDA_COMPILER=/usr/local/cuda-12.9/bin/nvcc",
    } <= set(ON_CARDS.options)
    # For the processor it is what it is without cards.
    alone = llama_cpp(plan(machine=replace(V100, gpus=())))
    assert set(alone.options) < set(ON_CARDS.options) and alone.digest != ON_CARDS.digest
    # The toolkit is installed where something is compiled, and nowhere else.
    assert {"cuda-minimal-build-12-9", "libcublas-dev-12-9"} <= set(ON_CARDS.packages)
    assert not any("cuda" in package for package in alone.packages)
    driver = PLANS["on cards"].driver
    assert driver and driver.group("CUDA libraries") == ("cuda-cudart-12-9", "libcublas-12-9")


def test_an_older_processor_gets_no_instruction_it_lacks() -> None:
    old = set(llama_cpp(plan(machine=machine(isa="x86-64-v2"))).options)
    assert {"GGML_AVX=OFF", "GGML_AVX2=OFF", "GGML_FMA=OFF", "GGML_NATIVE=OFF"} <= old
    new = llama_cpp(plan(machine=machine(isa="x86-64-v4"))).options
    assert "GGML_AVX512=ON" in new


def test_the_plan_is_json_and_the_same_each_time() -> None:
    text = json.dumps(plan().to_json(), sort_keys=True)
    assert text == json.dumps(plan().to_json(), sort_keys=True)
    assert str(Site().locks) not in text
    assert str(Site().builds) not in text
    written = json.loads(text)
    assert written["software"][0]["digest"] == BUILD
    assert written["services"][0]["weights"]["files"][0]["path"] == SHARDS[0]


def test_one_service_merges_the_model_that_another_one_serves_too() -> None:
    merging, reading = service(merge=True), service(name="b", port=8081)
    both = plan(profile(merging, reading))
    assert both.weights[0].merge == both.services[0].weights.merge == "tiny.gguf"
    turned = plan(profile(replace(reading, port=8080), replace(merging, port=8081)))
    assert turned.weights == both.weights


SERVICES = st.builds(
    service,
    name=st.sampled_from(["a", "b", "c", "r1.big"]),
    port=st.sampled_from([8080, 8081, 8082, 80]),
    model=st.one_of(
        st.sampled_from(sorted(CATALOGUE)),
        st.builds(model, key=st.sampled_from(["k", "l"]), size=st.integers(1, 40 * GIB)),
        st.builds(model),
    ),
    context=st.none() | st.integers(0, 1 << 20),
    parallel=st.none() | st.integers(0, 8),
    merge=st.none() | st.booleans(),
)
MOUNTS = st.dictionaries(
    st.sampled_from(["/", "/data", "/data/models"]), st.integers(0, 200 * GIB), min_size=1
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_plan_never_exceeds_the_machine_and_a_refusal_is_the_only_way_to_say_so(
    data: st.DataObject,
) -> None:
    free = data.draw(MOUNTS)
    stored = data.draw(st.dictionaries(st.sampled_from(["k", "tiny"]), st.integers(0, 50 * GIB)))
    there = machine(
        os=data.draw(st.sampled_from(["debian", "ubuntu", "arch"])),
        os_version=data.draw(st.sampled_from(["12", "13", "22.04", "24.04", "sid", ""])),
        isa=data.draw(st.sampled_from(["x86-64-v1", "x86-64-v3", "x86-64-v4", "aarch64"])),
        memory=data.draw(st.integers(GIB, 500 * GIB)),
        disks=tuple(disk(size, mount) for mount, size in free.items()),
        ports=data.draw(st.dictionaries(st.sampled_from([22, 8080]), st.just("x.service"))),
        stored=stored,
    )
    try:
        wanted = profile(
            *data.draw(st.lists(SERVICES, min_size=1, max_size=3)), locked=data.draw(st.booleans())
        )
        made = plan(wanted, machine=there, pins=data.draw(st.sampled_from([locks(), PINS])))
    except Refusal:
        return
    assert len(made.services) == len(wanted.services)
    for each in ("port", "unit", "name"):
        assert len({getattr(service, each) for service in made.services}) == len(made.services)
    directories = [weights.directory for weights in made.weights]
    assert len(set(directories)) == len(directories)
    assert not {service.port for service in made.services} & set(there.ports)
    assert sum(weights.size for weights in made.weights) <= there.memory
    arriving: dict[str, int] = {}
    for weights in made.weights:
        holds = there.disk_of(weights.directory)
        if holds is not None:
            missing = max(0, weights.size - stored.get(weights.model, 0))
            arriving[holds.mount] = arriving.get(holds.mount, 0) + missing
    assert all(size <= free[mount] for mount, size in arriving.items())
    assert all(service.weights in made.weights for service in made.services)
    json.dumps(made.to_json())


PINS = Locks(artifacts=locks().artifacts)


def test_what_is_no_longer_planned_is_stopped_and_counts_as_gone() -> None:
    bare = PLANS["on cards"]
    service, second = bare.services
    old = "llama-server@old.service"
    busy = replace(
        V100,
        gpus=tuple(replace(gpu, memory=32 * GIB, used=31 * GIB) for gpu in V100.gpus),
        holders=(Holder(pid=7, name="llama-server", unit=old),),
        ports={service.port: old},
        served=(old, second.unit),
    )
    made = plan(bare.profile, machine=busy, pins=WITH_KEYS)
    assert made.retired == (old,)
    assert [each.placement for each in made.services] == [service.placement, second.placement]
    # What the machine becomes does not depend on what it was.
    assert made.deployed() == bare.deployed()
    assert f"stops     {old}" in page.of("machine-01", busy, made)
