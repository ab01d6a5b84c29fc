"""Planning: what is refused, each with its reason and a way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import CN, GLOBAL, Site
from deploys.planning.plan import HostPlan
from tests.unit.planning.plan_examples import (
    GIB,
    attempt,
    disk,
    locks,
    machine,
    model,
    plan,
    profile,
    service,
)

NO_HUBS = Site(mirrors=replace(GLOBAL, modelscope=None, huggingface=None))

REFUSED: dict[str, tuple[Callable[[], object], str, str]] = {
    "unknown gpu": (
        lambda: attempt(profile(gpu="H8000", gpus=8)),
        "no GPU 'H8000' in the hardware table, did you mean 'H800'",
        "gpu=Accelerator(",
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
        "deploys/planning/models/entries",
    ),
    "engine that needs a gpu": (
        lambda: attempt(profile(service(engine="sglang", model=model(format="safetensors")))),
        "Service tiny: sglang cannot serve tiny without a GPU",
        "llama.cpp or Ollama",
    ),
    "unknown performance": (
        lambda: service(performance="fast"),
        "Service tiny: there is no performance 'fast'",
        "balanced, latency, throughput",
    ),
    "vulkan on a system with an old one": (
        lambda: attempt(profile(gpu="MI300X", gpus=8)),
        "Vulkan, and debian 12 has no Mesa and no headers of it that are new enough",
        "Install Debian 13 on this machine, or use a profile without a GPU",
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
        lambda: attempt(
            profile(service(), service(name="other", port=8081)),
            machine=machine(
                ports={8080: "llama-server@other.service"}, served=("llama-server@other.service",)
            ),
        ),
        "port 8080 is taken by llama-server@other.service",
        "another port",
    ),
    "port of an engine that somebody else has set up": (
        lambda: attempt(machine=machine(ports={8080: "ollama.service"})),
        "port 8080 is taken by ollama.service",
        "another port",
    ),
    "replicas on llama.cpp": (
        lambda: attempt(profile(service(replicas=2))),
        "Service tiny: llama.cpp has no replicas=2: one server is one copy",
        "Set replicas to 1, or leave it out",
    ),
    "tensor parallel on llama.cpp": (
        lambda: attempt(profile(service(tensor_parallel=1))),
        "Service tiny: llama.cpp has no tensor_parallel: that is a setting of vLLM and SGLang",
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
        "Service tiny: tiny is 413.6 MiB too large for the host's memory",
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
        "its files belong to several models: q4/a, q8/b",
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


@pytest.mark.parametrize(("ask", "reason", "hint"), REFUSED.values(), ids=REFUSED.keys())
def test_is_refused(ask: Callable[[], object], reason: str, hint: str) -> None:
    refusals = refusals_of(ask)
    refusal = next((each for each in refusals if reason in each.reason), None)
    assert refusal is not None, f"not among {list(map(str, refusals))}"
    assert hint in refusal.hint
    # Two sentences, and no more than an operator reads.
    assert str(refusal) == f"{refusal.reason}. {refusal.hint}."
    assert "\n" not in str(refusal)


def refusals_of(ask: Callable[[], object]) -> list[Refusal]:
    """Those of a plan, or the one that made a profile or a site impossible."""
    try:
        made = ask()
    except Refusal as refusal:
        return [refusal]
    assert isinstance(made, HostPlan)
    return list(made.refusals)


@pytest.mark.parametrize(
    "key", ["../../etc", "a/b", "", "A model", "..", ".hidden", "a\n", "a" * 101]
)
def test_a_model_key_that_is_no_folder_name_is_refused(key: str) -> None:
    with pytest.raises(Refusal, match="cannot be the key of a model, as it names a folder"):
        plan(profile(service(model=model(key=key))), pins=replace(locks(), weights={}))


def test_a_source_that_the_site_cannot_reach_is_refused_while_planning() -> None:
    with pytest.raises(Refusal, match="no way to github"):
        plan(site=Site(mirrors=replace(GLOBAL, github=None)))
