"""Files of the machine: rendered from the plan, and read back as their readers would."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import Environment, UndefinedError, meta, nodes

from deploys.control.acceptance import page as acceptance
from deploys.planning import unit_names
from deploys.planning.gateway.firewall import FirewallPlan
from deploys.planning.hardware.numa import HostMemory
from deploys.planning.inputs.gateway import Acme
from deploys.planning.inputs.profile import Performance
from deploys.planning.inputs.site import Site
from deploys.planning.package_manager import Dnf
from deploys.planning.plan import HostPlan
from deploys.rendering import cards, chat, firewall, gateway, page, render, templates
from deploys.rendering.appliance import image
from deploys.rendering.monitoring import files as monitoring
from deploys.rendering.monitoring import page as monitoring_page
from tests.unit.control.acceptance import test_page
from tests.unit.planning.gateway import test_chat
from tests.unit.planning.monitoring import examples
from tests.unit.planning.plan_examples import MACHINE, locks, model, plan, profile, service
from tests.unit.rendering import test_render_image
from tests.unit.rendering.card_examples import CARD, SITE
from tests.unit.rendering.gateway_plans import CA
from tests.unit.rendering.gateway_plans import PLANS as GATEWAYS
from tests.unit.rendering.render_examples import (
    CN_SITE,
    DRIVER,
    EVERY_PLAN,
    OTHER_ENGINES,
    PLANS,
    PYTHON_ENGINES,
    TEMPLATES,
    analyze,
    driver_files,
    files,
    settings,
    unit,
)


@EVERY_PLAN
def test_every_template_renders(made: HostPlan) -> None:
    for file in files(made).values():
        assert file.content.startswith(("# Written by modelrack", "// Written by modelrack"))
        assert file.content.endswith("\n")
        assert "None" not in file.content.replace("=None\n", "=\n") or not made.weights[0].locked
        assert not re.search(r"{{|}}|{%|%}", file.content)
        assert re.fullmatch(r"[0-7]{3}", file.mode)


def test_no_template_is_left_out() -> None:
    there = {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.j2")}
    rendered: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        text = templates.text
        for module in (templates, page, gateway, cards, image, monitoring_page):
            patch.setattr(
                module, "text", lambda path, /, **v: rendered.add(f"{path}.j2") or text(path, **v)
            )
        for made in (*PLANS.values(), *PYTHON_ENGINES.values(), *OTHER_ENGINES.values()):
            files(made)
            page.of("machine-01", MACHINE, made)
        for door in GATEWAYS.values():
            gateway.files(door, CA)
        gateway.unit()
        gateway.acme(Acme(), "ai.lab", CA)
        firewall.files(FirewallPlan(openings=()))
        image.files(test_render_image.RECIPE, test_render_image.PLAN, "", ["6.1"])
        image.stub(test_render_image.RECIPE)
        watched = examples.EXAMPLES["told"].monitoring
        assert watched
        monitoring.node_exporter(), monitoring.writer(watched), monitoring.notifier([])
        monitoring.prometheus(watched), monitoring.alertmanager(watched, "")
        with_page = test_chat.planned()
        assert with_page.gateway and with_page.gateway.chat
        chat.files(with_page, with_page.gateway, with_page.gateway.chat)
        assert DRIVER.driver is not None and DRIVER.driver.repository is not None
        driver_files(DRIVER)
        with_dnf = replace(DRIVER, package_manager=Dnf(kind="dnf", lock_wait=1))
        render.repository(with_dnf, DRIVER.driver.repository)
        acceptance.page(test_page.DOCUMENT, test_page.CHECKS, "en")
        for locale in (cards.ENGLISH, cards.CHINESE):
            cards.html(CARD, SITE, locale)
    # And what other templates are made of.
    for name in tuple(rendered):
        rendered |= {*map(str, meta.find_referenced_templates(_parsed(name)))}
    left = ", ".join(sorted(there ^ rendered))
    assert not left, f"no plan of render_examples.py renders {left}"


def _parsed(template: str) -> nodes.Template:
    return Environment().parse((TEMPLATES / template).read_text())


@pytest.mark.parametrize("template", ["llama.cpp/service.env", "base/sysctl.conf"])
def test_a_name_that_is_not_given_is_an_error(template: str) -> None:
    with pytest.raises(UndefinedError):
        templates.text(template)


@EVERY_PLAN
def test_the_unit_starts_what_is_proven_as_a_user_without_rights(made: HostPlan) -> None:
    path = "/etc/systemd/system/llama-server@.service"
    sections = unit(files(made)[path].content)
    run = sections["Service"]
    assert run["User"] == ["modelrack"]
    assert run["EnvironmentFile"] == ["/etc/modelrack/services/%i.env"]
    # As root: what was copied or restored is proven again, and that recorded.
    (proof,) = run["ExecStartPre"]
    assert proof.startswith("+/usr/bin/python3 ")
    assert proof.endswith("weights prove ${MODELRACK_WEIGHTS} $MODELRACK_ADAPTERS")
    server = "/opt/modelrack/engines/llama.cpp/current/bin/llama-server"
    assert run["ExecStart"] == [f"{server} $MODELRACK_OPTIONS"]
    # Nothing but this machine reaches it, whatever the server is told to listen on.
    assert run["IPAddressDeny"] == ["any"]
    assert run["IPAddressAllow"] == ["localhost"]
    for key, value in {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "ProtectKernelModules": "yes",
        "ProtectKernelTunables": "yes",
        "ProtectControlGroups": "yes",
        "RestrictSUIDSGID": "yes",
        "LockPersonality": "yes",
        "CapabilityBoundingSet": "",
        "RestrictNamespaces": "yes",
        "SystemCallArchitectures": "native",
        "UMask": "0077",
    }.items():
        assert run[key] == [value]
    on_cpu = {"PrivateDevices": ["yes"], "MemoryDenyWriteExecute": ["yes"]}
    on_cards = {"DevicePolicy": ["closed"], "DeviceAllow": ["char-nvidia* rw"]}
    if made.stack.backend == "Vulkan":
        on_cards = {"DevicePolicy": ["closed"]}
    wanted, unwanted = (on_cpu, on_cards) if made.profile.gpu is None else (on_cards, on_cpu)
    assert wanted.items() <= run.items() and not unwanted.keys() & run.keys()
    assert run["ReadOnlyPaths"] == [made.site.data_root]
    assert sections["Unit"]["RequiresMountsFor"] == [made.site.data_root]
    assert sections["Install"]["WantedBy"] == ["multi-user.target"]


@pytest.mark.parametrize("made", [PLANS["cpu"], *OTHER_ENGINES.values(), *PYTHON_ENGINES.values()])
def test_what_ends_is_started_again_and_given_up_on_after_five(made: HostPlan) -> None:
    (served,) = made.services
    name = re.sub(r"@.*\.", "@.", served.unit)
    sections = unit(files(made)[f"/etc/systemd/system/{name}"].content)
    # Whatever it says when it ends: the main process of vLLM exits with 0 when its engine has died.
    assert sections["Service"]["Restart"] == ["always"]
    # Five that take half an hour each are within it.
    limit = {key: sections["Unit"][f"StartLimit{key}"] for key in ("IntervalSec", "Burst")}
    assert limit == {"IntervalSec": ["3h"], "Burst": ["5"]}
    assert sections["Unit"]["OnFailure"] == [unit_names.FAILED.replace("@", "@%n")]


@pytest.fixture(scope="module", params=["cpu", "on cards"])
def unit_file(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Path]:
    if shutil.which("systemd-analyze") is None:
        reason = "systemd-analyze is not on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    rendered = files(PLANS[request.param])["/etc/systemd/system/llama-server@.service"]
    # verify insists on programs that exist.
    content = re.sub(r"(?m)^(ExecStart=).*", r"\1/bin/true", rendered.content)
    content = re.sub(r"(?m)^(ExecStartPre=)\S+", r"\1/bin/true", content)
    path = tmp_path_factory.mktemp("units") / "llama-server@.service"
    path.write_text(content)
    yield path


def test_systemd_accepts_the_unit(unit_file: Path) -> None:
    verified = analyze("verify", "--man=no", unit_file)
    about_it = [line for line in verified.stderr.splitlines() if unit_file.name in line]
    assert (verified.returncode, about_it) == (0, [])


NOTHING = {"LLAMA_ARG_NUMA": None, "LLAMA_ARG_LOAD_MODE": None}
UNCACHED = "/usr/bin/python3 /opt/modelrack/bin/modelrack.pyz weights uncache ${MODELRACK_WEIGHTS}"
MEMORY: dict[str, tuple[HostMemory, dict[str, str | None], dict[str, list[str]]]] = {
    "on cards": (HostMemory(), NOTHING, {}),
    "one node": (HostMemory(mapped=False), {**NOTHING, "LLAMA_ARG_LOAD_MODE": "none"}, {}),
    "bound": (
        HostMemory(mapped=False, policy="bind", nodes=(1,)),
        {"LLAMA_ARG_NUMA": None, "LLAMA_ARG_LOAD_MODE": "none"},
        {"NUMAPolicy": ["bind"], "NUMAMask": ["1"], "CPUAffinity": ["numa"]},
    ),
    "in turn": (
        HostMemory(mapped=False, policy="interleave", nodes=(0, 1, 3)),
        {"LLAMA_ARG_NUMA": "distribute", "LLAMA_ARG_LOAD_MODE": "none"},
        {"NUMAPolicy": ["interleave"], "NUMAMask": ["0,1,3"]},
    ),
    "first touch": (
        HostMemory(policy="first touch"),
        {"LLAMA_ARG_NUMA": "distribute", "LLAMA_ARG_LOAD_MODE": None},
        {"ExecStartPre": [UNCACHED]},
    ),
}


@pytest.mark.parametrize(("memory", "told", "added"), MEMORY.values(), ids=MEMORY.keys())
def test_where_memory_goes_is_said_to_the_server_and_to_systemd(
    memory: HostMemory, told: dict[str, str | None], added: dict[str, list[str]], unit_file: Path
) -> None:
    made = PLANS["cpu"]
    planned = made.services[0]
    planned = replace(planned, placement=replace(planned.placement, host_memory=memory))
    there = files(replace(made, services=(planned,)))
    env = settings(there[f"/etc/modelrack/services/{planned.name}.env"].content)
    assert {name: env.get(name) for name in told} == told
    # Always there, as what it said before must not stay.
    addition = there[f"/etc/systemd/system/{planned.unit}.d/memory.conf"].content
    assert unit(addition) == {"Service": added}
    folder = unit_file.with_name(f"{unit_file.name}.d")
    folder.mkdir(exist_ok=True)
    (folder / "memory.conf").write_text(addition.replace("modelrack.pyz", "none.pyz"))
    verified = analyze("verify", "--man=no", unit_file)
    shutil.rmtree(folder)
    assert (verified.returncode, "memory.conf" in verified.stderr) == (0, False), verified.stderr


def test_the_unit_is_exposed_to_little(unit_file: Path) -> None:
    scored = analyze("security", "--offline=true", "--threshold=25", unit_file)
    assert scored.returncode == 0, scored.stdout[-2000:] + scored.stderr


def test_the_settings_say_what_the_plan_says() -> None:
    made = PLANS["merged"]
    content, digest = render.service(made, made.services[0])
    assert settings(content[1].content) == {
        "LLAMA_ARG_MODEL": "/data/models/tiny/tiny.gguf",
        "LLAMA_ARG_ALIAS": "tiny",
        "LLAMA_ARG_HOST": "127.0.0.1",
        "LLAMA_ARG_PORT": "8080",
        "LLAMA_ARG_CTX_SIZE": "1024",
        "LLAMA_ARG_N_PARALLEL": "2",
        "LLAMA_ARG_BATCH": "256",
        "LLAMA_ARG_CACHE_TYPE_K": "f16",
        "LLAMA_ARG_CACHE_TYPE_V": "f16",
        "LLAMA_ARG_FLASH_ATTN": "on",
        "LLAMA_ARG_CACHE_RAM": "2048",
        "LLAMA_ARG_THREADS": "12",
        "LLAMA_ARG_LOAD_MODE": "none",
        "LLAMA_ARG_FIT": "off",
        "LLAMA_ARG_ENDPOINT_METRICS": "1",
        "LLAMA_ARG_ENDPOINT_SLOTS": "0",
        "LLAMA_ARG_UI": "0",
        "LLAMA_ARG_OFFLINE": "1",
        "MODELRACK_OPTIONS": "",
        "MODELRACK_WEIGHTS": "/data/models/tiny",
        "MODELRACK_ADAPTERS": "",
        "MODELRACK_DIGEST": digest,
    }


@pytest.mark.parametrize(
    ("parallel", "performance", "piece"),
    [(4, "balanced", "256"), (4, "throughput", None), (1, "balanced", None)],
)
def test_a_long_prompt_lets_the_others_have_their_turns(
    parallel: int, performance: Performance, piece: str | None
) -> None:
    made = plan(profile(service(parallel=parallel, context=512, performance=performance)))
    content, _ = render.service(made, made.services[0])
    assert settings(content[1].content).get("LLAMA_ARG_BATCH") == piece


ON_CARDS = {
    "all layers on cards": (
        *("on cards", 0),
        {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": "0,1",
            "LLAMA_ARG_DEVICE": "CUDA0,CUDA1",
            "LLAMA_ARG_SPLIT_MODE": "layer",
            "LLAMA_ARG_N_GPU_LAYERS": "49",
            "LLAMA_ARG_N_CPU_MOE": "0",
            "LLAMA_ARG_CACHE_TYPE_K": "f16",
            "LLAMA_ARG_BATCH": None,
            "LLAMA_ARG_NUMA": None,
        },
    ),
    "no card left": (
        *("on cards", 1),
        {
            "CUDA_VISIBLE_DEVICES": "",
            "LLAMA_ARG_DEVICE": "none",
            "LLAMA_ARG_N_GPU_LAYERS": "0",
            "LLAMA_ARG_NUMA": "distribute",
        },
    ),
    "a card that Vulkan reaches": (
        *("through Vulkan", 1),
        {
            "CUDA_VISIBLE_DEVICES": None,
            "MODELRACK_CARDS": "1",
            # The only one that its unit lets in, so the first.
            "LLAMA_ARG_DEVICE": "Vulkan0",
            "LLAMA_ARG_LOG_VERBOSITY": "4",
            "LLAMA_ARG_N_GPU_LAYERS": "29",
        },
    ),
    "experts in host memory": (
        *("experts beside cards", 0),
        {
            "LLAMA_ARG_DEVICE": "CUDA0,CUDA1",
            "LLAMA_ARG_N_GPU_LAYERS": "95",
            "LLAMA_ARG_CACHE_TYPE_K": "q8_0",
            "LLAMA_ARG_CACHE_TYPE_V": "q8_0",
            "LLAMA_ARG_NUMA": "distribute",
            "LLAMA_ARG_LOAD_MODE": "none",
            "LLAMA_ARG_CACHE_RAM": "8192",
        },
    ),
}


@pytest.mark.parametrize(("name", "number", "wanted"), ON_CARDS.values(), ids=ON_CARDS.keys())
def test_the_cards_are_those_of_the_plan(
    name: str, number: int, wanted: dict[str, str | None]
) -> None:
    made = PLANS[name]
    planned = made.services[number]
    said = settings(files(made)[f"/etc/modelrack/services/{planned.name}.env"].content)
    assert {key: said.get(key) for key in wanted} == wanted
    assert said["LLAMA_ARG_N_CPU_MOE"] == str(planned.placement.cpu_experts)
    assert (said["LLAMA_ARG_N_CPU_MOE"] != "0") == (name == "experts beside cards")


def test_vulkan_is_let_to_the_cards_of_its_instance_and_to_no_others() -> None:
    there = files(PLANS["through Vulkan"])
    run = unit(there["/etc/systemd/system/llama-server@.service"].content)["Service"]
    assert run["DevicePolicy"] == ["closed"]
    # A driver of graphics may make code, and not every card's node is for every instance.
    assert not {"DeviceAllow", "PrivateDevices", "MemoryDenyWriteExecute"} & {*run}
    for name, address in (("tiny", "0000:03:00.0"), ("b", "0000:23:00.0")):
        own = there[f"/etc/systemd/system/llama-server@{name}.service.d/devices.conf"].content
        (allowed,) = unit(own)["Service"]["DeviceAllow"]
        assert allowed == f"/dev/dri/by-path/pci-{address}-render rw"
    cpu = files(PLANS["cpu"])
    assert not [path for path in cpu if path.endswith("devices.conf")]


def _digest(made: HostPlan) -> str:
    return render.service(made, made.services[0])[1]


def _with_hash(digest: str) -> HostPlan:
    pins = locks()
    tiny = pins.weights["tiny"]
    files = (replace(tiny.files[0], sha256=digest), *tiny.files[1:])
    return plan(pins=replace(pins, weights={"tiny": replace(tiny, files=files)}))


@pytest.mark.parametrize(
    "other",
    [
        plan(profile(service(context=4096))),
        plan(profile(service(parallel=1))),
        plan(profile(service(port=9000))),
        plan(profile(service(name="b"))),
        plan(profile(service(merge=True))),
        plan(machine=replace(MACHINE, cores=2)),
        plan(machine=replace(MACHINE, numa_nodes=2)),
        plan(profile(service(), service(name="b", port=8081))),
        plan(machine=replace(MACHINE, memory=64 << 30)),
        plan(pins=locks(tree_sha256="b" * 64)),
        plan(site=Site(data_root="/srv")),
        _with_hash("f" * 64),
    ],
    ids=[
        *("context", "parallel", "port", "name", "one file", "cores", "nodes", "shared", "memory"),
        *("engine", "data root", "content of the model"),
    ],
)
def test_what_a_process_was_started_with_changes_its_digest(other: HostPlan) -> None:
    assert _digest(other) != _digest(plan())


@pytest.mark.parametrize(
    "same",
    [
        plan(),
        plan(site=CN_SITE),
        plan(machine=replace(MACHINE, hostname="other", memory=33 << 30)),
        plan(profile(service(), service(name="b", port=8081, model=model(key="other")))),
        plan(profile(service(model=model(title="Another title", source="other")))),
    ],
    ids=["nothing", "mirrors", "machine", "another service", "words about the model"],
)
def test_what_a_process_does_not_see_leaves_its_digest(same: HostPlan) -> None:
    assert _digest(same) == _digest(plan())


@EVERY_PLAN
def test_the_page_of_a_plan_names_what_is_served(made: HostPlan) -> None:
    text = page.of("machine-01", MACHINE, made)
    assert text.startswith("machine-01: ")
    for planned in made.services:
        served = (
            f"{planned.name}: llama.cpp {made.stack.engines['llama.cpp']} serves {planned.model}"
        )
        assert f"{served} on {planned.url}" in text
        assert all(reason in text for reason in planned.placement.reasons)
    assert ("not pinned yet" in text) == bool(made.unlocked)
    assert ("merged to tiny.gguf" in text) == any(weights.merge for weights in made.weights)
    assert all(warning in text for warning in made.warnings)


def test_kernel_settings_in_the_file_are_those_applied() -> None:
    text = files(PLANS["cpu"])["/etc/sysctl.d/60-modelrack.conf"].content
    assert settings(text) == {key: str(value) for key, value in render.SYSCTL.items()}
