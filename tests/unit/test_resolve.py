"""Planning: what is decided, and what is refused with a way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.planning.catalogue import CATALOGUE
from deploys.planning.locks import Locks
from deploys.planning.machine import Disk
from deploys.planning.package_manager import Apt
from deploys.planning.plan import HostPlan
from deploys.planning.profile import HostProfile
from deploys.planning.refusal import Refusal
from deploys.planning.site import CN, GLOBAL, Site
from tests.unit.plan_examples import (
    GIB,
    MACHINE,
    SHARDS,
    attempt,
    locks,
    model,
    plan,
    profile,
    service,
)


def machine(**fields: Any) -> Any:
    return replace(MACHINE, **fields)


def disk(free: int, mount: str = "/") -> Disk:
    return Disk(mount=mount, kind="ext4", total=2 * free, free=free)


NO_HUBS = Site(mirrors=replace(GLOBAL, modelscope=None, huggingface=None))

REFUSED: dict[str, tuple[Callable[[], object], str, str]] = {
    "unknown gpu": (
        lambda: attempt(profile(gpu="H8000", gpus=8)),
        "no GPU 'H8000' in the hardware table, did you mean 'H800'",
        "deploys/planning/gpus.py",
    ),
    "gpu without a number": (
        lambda: profile(gpu="H800"),
        "gpu='H800' and gpus=0 describes no machine",
        "Name the GPU and how many",
    ),
    "fewer than no gpus": (lambda: profile(gpu="H800", gpus=-1), "gpus=-1", "how many there are"),
    "unknown engine": (
        lambda: service(engine="llamacpp"),
        "Service tiny: there is no engine 'llamacpp'",
        "llama.cpp",
    ),
    "two services on one port": (
        lambda: profile(service(name="a"), service(name="b")),
        "Services a and b both want port 8080",
        "Give b another port",
    ),
    "two services of one name": (
        lambda: profile(service(), service(port=8081)),
        "Two services are called tiny",
        "another name",
    ),
    "name that no unit can have": (
        lambda: service(name="R1 big"),
        "'R1 big' cannot name a service",
        "lower case letters",
    ),
    "name that leads out of its folder": (
        lambda: service(name="../r1"),
        "'../r1' cannot name a service",
        "digits, dots and dashes",
    ),
    "privileged port": (
        lambda: service(port=80),
        "port 80 is outside 1024 to 65535",
        "without privileges",
    ),
    "no port": (lambda: service(port=65_536), "port 65536 is outside", "in that range"),
    "no context": (lambda: service(context=0), "context is 0", "from 1 up"),
    "nothing in parallel": (lambda: service(parallel=0), "parallel is 0", "from 1 up"),
    "no replicas": (lambda: service(replicas=0), "replicas is 0", "from 1 up"),
    "spread over no gpu": (lambda: service(tensor_parallel=0), "tensor_parallel is 0", "from 1 up"),
    "safetensors of the catalogue on llama.cpp": (
        lambda: attempt(profile(service(model="deepseek-r1-distill-qwen-7b"))),
        "llama.cpp cannot serve deepseek-r1-distill-qwen-7b: it reads GGUF, and these are",
        "Choose a GGUF variant",
    ),
    "model that is not in the catalogue": (
        lambda: attempt(profile(service(model="deepseek-r1-awk"))),
        "There is no model 'deepseek-r1-awk' in the catalogue, did you mean deepseek-r1-awq",
        "deploys/planning/catalogue.py",
    ),
    "engine that is not deployed yet": (
        lambda: attempt(profile(service(engine="vllm"))),
        "Service tiny: this version does not deploy vllm yet",
        "llama.cpp",
    ),
    "engine that needs a gpu": (
        lambda: attempt(profile(service(engine="vllm", model=model(format="safetensors")))),
        "Service tiny: vllm cannot serve tiny without a GPU",
        "llama.cpp or Ollama",
    ),
    "llama.cpp beside a gpu": (
        lambda: attempt(profile(gpu="V100", gpus=2)),
        "the V100 would stand idle",
        "profile without a GPU",
    ),
    "safetensors on llama.cpp": (
        lambda: attempt(profile(service(model=model(format="safetensors")))),
        "Service tiny: llama.cpp cannot serve tiny: it reads GGUF, and these are safetensors",
        "Choose a GGUF variant",
    ),
    "port of another process": (
        lambda: attempt(machine=machine(ports={8080: "nginx.service"})),
        "Service tiny: port 8080 is taken by nginx.service",
        "Stop that process, or give the service another port",
    ),
    "port of a process that hides": (
        lambda: attempt(machine=machine(ports={8080: ""})),
        "port 8080 is taken by a process",
        "another port",
    ),
    "port of another service of ours": (
        lambda: attempt(machine=machine(ports={8080: "llama-server@other.service"})),
        "port 8080 is taken by llama-server@other.service",
        "another port",
    ),
    "port of a unit of ours that another engine made": (
        lambda: attempt(machine=machine(ports={8080: "vllm@tiny.service"})),
        "port 8080 is taken by vllm@tiny.service",
        "another port",
    ),
    "replicas on llama.cpp": (
        lambda: attempt(profile(service(replicas=2))),
        "Service tiny: replicas is 2, but one server is one copy",
        "Set replicas to 1 or less, or leave it out",
    ),
    "tensor parallel on llama.cpp": (
        lambda: attempt(profile(service(tensor_parallel=1))),
        "Service tiny: llama.cpp has no tensor_parallel, that is a setting of vLLM and SGLang",
        "Leave tensor_parallel out",
    ),
    "two different models with one key": (
        lambda: attempt(profile(service(), service(name="b", port=8081, model=model(size=GIB)))),
        "Two different models are called tiny",
        "Give one of them another key",
    ),
    "model of one's own that is called like one of the catalogue": (
        lambda: attempt(
            profile(
                service(model="deepseek-r1-distill-qwen-1.5b-q4_k_m"),
                service(
                    name="b", port=8081, model=model(key="deepseek-r1-distill-qwen-1.5b-q4_k_m")
                ),
            ),
        ),
        "Two different models are called deepseek-r1-distill-qwen-1.5b-q4_k_m",
        "another key",
    ),
    "release that the mirror of the site may call anything": (
        lambda: attempt(machine=machine(os="ubuntu", os_version="25.10"), site=Site(mirrors=CN)),
        "The mirror of this site has ubuntu 25.10 under a name that we do not know",
        "Set mirrors.ubuntu of the site to None",
    ),
    "Debian that the mirror of the site may call anything": (
        lambda: attempt(machine=machine(os="debian", os_version="14"), site=Site(mirrors=CN)),
        "The mirror of this site has debian 14 under a name that we do not know",
        "Set mirrors.debian of the site to None, so that apt's own archive is used",
    ),
    "source that the site has no way to": (
        lambda: attempt(site=Site(mirrors=replace(GLOBAL, github=None))),
        "This site has no way to github, which o/l/b1.tar.gz comes from",
        "Set mirrors.github",
    ),
    "disk too small": (
        lambda: attempt(machine=machine(disks=(disk(3 * GIB),))),
        "The weights need 3.1 GiB on /, which has 3.0 GiB free",
        "Free 153.6 MiB there, or set data_root",
    ),
    "data disk too small though the root is large": (
        lambda: attempt(machine=machine(disks=(disk(900 * GIB), disk(GIB, "/data")))),
        "The weights need 3.1 GiB on /data",
        "Free 2.2 GiB",
    ),
    "two models that fit one by one": (
        lambda: attempt(
            profile(service(), service(name="b", port=8081, model=model(key="b"))),
            machine=machine(disks=(disk(4 * GIB),)),
        ),
        "The weights need 6.3 GiB on /",
        "larger file system",
    ),
    "not enough memory": (
        lambda: attempt(machine=machine(memory=3 * GIB)),
        "Service tiny: tiny is 0.4 GiB too large for the host's memory",
        "Choose weights of about 2.6 GiB at most",
    ),
    "context that the model was not trained for": (
        lambda: attempt(profile(service(context=1_000_000))),
        "a context of 1000000 tokens is beyond the 32768 that tiny was trained for",
        "Set context to 32768 or less",
    ),
    "locked profile without pins": (
        lambda: attempt(profile(locked=True), pins=replace(locks(), weights={})),
        "tiny is not pinned in",
        "deploys/lock.py, or set locked=False",
    ),
    "unknown system": (
        lambda: attempt(machine=machine(os="centos", os_version="7")),
        "centos 7 is not a system we know",
        "Debian 12 or newer, or Ubuntu 22.04 or newer",
    ),
    "too old a Debian": (
        lambda: attempt(machine=machine(os="debian", os_version="11")),
        "debian 11 is not a system we know",
        "Debian 12 or newer",
    ),
    "too old an Ubuntu": (
        lambda: attempt(machine=machine(os="ubuntu", os_version="20.04")),
        "ubuntu 20.04 is not a system we know",
        "Ubuntu 22.04 or newer",
    ),
    "Debian without a number": (
        lambda: attempt(machine=machine(os="debian", os_version="")),
        "is not a system we know",
        "Debian 12 or newer",
    ),
    "too old a processor": (
        lambda: attempt(machine=machine(isa="x86-64-v1", cpu="Pentium 4")),
        "not built for a x86-64-v1 processor (Pentium 4)",
        "x86-64-v2 or newer",
    ),
    "no hub has the model": (
        lambda: attempt(profile(service(model=model(modelscope=None, huggingface=None)))),
        "tiny is on none of the hubs of this site (modelscope, huggingface)",
        "Add a hub to the site",
    ),
    "the site reaches no hub": (
        lambda: attempt(site=NO_HUBS),
        "tiny is on none of the hubs of this site",
        "inventories/group_data",
    ),
    "several split models as one file": (
        lambda: attempt(
            profile(service(merge=True)),
            pins=locks(("q4/a-00001-of-00001.gguf", "q8/b-00001-of-00001.gguf")),
        ),
        "its files belong to several split models: a, b",
        "Narrow the model's file patterns",
    ),
    "data root that is no folder": (
        lambda: Site(data_root="data"),
        "data_root 'data' is not a folder below /",
        "absolute path such as /data",
    ),
    "origin that the site has no way to": (
        lambda: Site(mirrors=replace(GLOBAL, github=None)).url("github", "o/r.tar.gz"),
        "This site has no way to github, which o/r.tar.gz comes from",
        "Set mirrors.github",
    ),
}


@pytest.mark.parametrize(("ask", "reason", "way_out"), REFUSED.values(), ids=REFUSED.keys())
def test_is_refused(ask: Callable[[], object], reason: str, way_out: str) -> None:
    refusals = refusals_of(ask)
    refusal = next((each for each in refusals if reason in each.reason), None)
    assert refusal is not None, f"not among {list(map(str, refusals))}"
    assert way_out in refusal.way_out
    # Two sentences, and no more than an operator reads.
    assert str(refusal) == f"{refusal.reason}. {refusal.way_out}."
    assert "\n" not in str(refusal)


def refusals_of(ask: Callable[[], object]) -> list[Refusal]:
    """Those of a plan, or the one that made a profile or a site impossible."""
    try:
        made = ask()
    except Refusal as refusal:
        return [refusal]
    assert isinstance(made, HostPlan)
    return list(made.refusals)


ACCEPTED: dict[str, Callable[[], HostPlan]] = {
    "our own unit holds the port": lambda: plan(
        machine=machine(ports={8080: "llama-server@tiny.service"})
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


def test_what_is_not_pinned_yet_is_said_and_has_the_published_size() -> None:
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
    assert plan(profile(service(context=None))).services[0].context <= model().context
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


def test_a_service_answers_on_the_loopback_address_alone() -> None:
    assert plan().services[0].url == "http://127.0.0.1:8080"


BUILD = plan().build_of("llama.cpp").digest


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
    build = other.build_of("llama.cpp")
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
    assert same.build_of("llama.cpp").digest == BUILD


def test_packages_that_compile_do_not_make_another_build() -> None:
    build = plan().build_of("llama.cpp")
    assert replace(build, packages=("clang",)).digest == build.digest


def test_an_older_processor_gets_no_instruction_it_lacks() -> None:
    old = set(plan(machine=machine(isa="x86-64-v2")).build_of("llama.cpp").options)
    assert {"GGML_AVX=OFF", "GGML_AVX2=OFF", "GGML_FMA=OFF", "GGML_NATIVE=OFF"} <= old
    new = plan(machine=machine(isa="x86-64-v4")).build_of("llama.cpp").options
    assert "GGML_AVX512=ON" in new


def test_the_plan_is_json_and_the_same_each_time() -> None:
    text = json.dumps(plan().to_json(), sort_keys=True)
    assert text == json.dumps(plan().to_json(), sort_keys=True)
    assert str(Site().locks) not in text
    assert str(Site().builds) not in text
    written = json.loads(text)
    assert written["builds"][0]["digest"] == BUILD
    assert written["services"][0]["weights"]["files"][0]["path"] == SHARDS[0]


def test_one_service_merges_the_model_that_another_one_serves_too() -> None:
    merging, reading = service(merge=True), service(name="b", port=8081)
    both = plan(profile(merging, reading))
    assert both.weights[0].merge == both.services[0].weights.merge == "tiny.gguf"
    turned = plan(profile(replace(reading, port=8080), replace(merging, port=8081)))
    assert turned.weights == both.weights


@pytest.mark.parametrize(
    "key", ["../../etc", "a/b", "", "A model", "..", ".hidden", "a\n", "a" * 101]
)
def test_a_model_key_that_is_no_folder_name_is_refused(key: str) -> None:
    with pytest.raises(Refusal, match="cannot be the key of a model, as it names a folder"):
        plan(profile(service(model=model(key=key))), pins=replace(locks(), weights={}))


def test_a_source_that_the_site_cannot_reach_is_refused_while_planning() -> None:
    with pytest.raises(Refusal, match="no way to github"):
        plan(site=Site(mirrors=replace(GLOBAL, github=None)))


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
    merge=st.booleans(),
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
