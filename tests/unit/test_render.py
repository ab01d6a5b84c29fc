"""Files of the machine: rendered from the plan, and read back as their readers would."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

from deploys.planning import page, render
from deploys.planning.plan import HostPlan
from deploys.planning.render import Rendered
from deploys.planning.site import CN, Mirrors, Site
from tests.unit.plan_examples import MACHINE, locks, model, plan, profile, service

HERE = Path(__file__).parent
TEMPLATES = HERE.parents[1] / "templates"
CN_SITE = Site(mirrors=CN)

PLANS = {
    "cpu": plan(profile(service(name="deepseek-r1-7b"))),
    # Like inventories/group_data/sandbox.py: several requests, and one file made of shards.
    "merged": plan(profile(service(parallel=2, context=512, merge=True)), site=CN_SITE),
    "not pinned yet": plan(pins=replace(locks(), weights={})),
    "two services": plan(profile(service(), service(name="b", port=8081)), site=CN_SITE),
    "ubuntu": plan(machine=replace(MACHINE, os="ubuntu", os_version="24.04"), site=CN_SITE),
    "peers": plan(
        machine=replace(MACHINE, addresses=("10.8.0.5",)), site=Site(peers="10.8.0.0/24")
    ),
    "peers of six": plan(
        machine=replace(MACHINE, addresses=("fd00::5",)), site=Site(peers="fd00::/64")
    ),
    "nothing served": plan(profile(), site=Site(data_root="/srv/models")),
}
EVERY_PLAN = pytest.mark.parametrize("made", PLANS.values(), ids=PLANS.keys())


def files(made: HostPlan) -> dict[str, Rendered]:
    rendered = list(render.base(made))
    for planned in made.services:
        rendered += render.service(made, planned)[0]
    if made.peer:
        rendered += render.peer(made, made.peer)
    return {file.path: file for file in rendered}


def settings(text: str) -> dict[str, str]:
    """KEY=VALUE or key = value lines, as systemd's environment files and sysctl have them."""
    plain = [line for line in text.splitlines() if line and not line.startswith("#")]
    pairs = [line.split("=", 1) for line in plain]
    return {key.strip(): value.strip() for key, value in pairs}


def unit(text: str) -> dict[str, dict[str, list[str]]]:
    """Sections, and in each the values of every key in their order, as systemd collects them."""
    sections: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            section.setdefault(key, []).append(value)
    return sections


@EVERY_PLAN
def test_every_template_renders(made: HostPlan) -> None:
    for file in files(made).values():
        assert file.content.startswith(("# Written by modelrack", "// Written by modelrack"))
        assert file.content.endswith("\n")
        assert "None" not in file.content.replace("=None\n", "=\n") or not made.weights[0].locked
        assert not re.search(r"{{|}}|{%|%}", file.content)
        assert re.fullmatch(r"[0-7]{3}", file.mode)


def test_no_template_is_left_out() -> None:
    templates = {str(path.relative_to(TEMPLATES)) for path in TEMPLATES.rglob("*.j2")}
    rendered: set[str] = set()
    with pytest.MonkeyPatch.context() as patch:
        text = render.text
        for module in (render, page):
            patch.setattr(
                module, "text", lambda path, /, **v: rendered.add(f"{path}.j2") or text(path, **v)
            )
        for made in PLANS.values():
            files(made)
            page.of("machine-01", MACHINE, made)
    assert rendered == templates


@pytest.mark.parametrize("template", ["llama.cpp/service.env", "base/sysctl.conf"])
def test_a_name_that_is_not_given_is_an_error(template: str) -> None:
    with pytest.raises(UndefinedError):
        render.text(template)


@EVERY_PLAN
def test_the_unit_starts_what_is_proven_as_a_user_without_rights(made: HostPlan) -> None:
    path = "/etc/systemd/system/llama-server@.service"
    sections = unit(files(made)[path].content)
    run = sections["Service"]
    assert run["User"] == ["modelrack"]
    assert run["EnvironmentFile"] == ["/etc/modelrack/services/%i.env"]
    assert "weights verify ${MODELRACK_WEIGHTS}" in run["ExecStartPre"][0]
    assert run["ExecStart"] == ["/opt/modelrack/engines/llama.cpp/current/bin/llama-server"]
    # Nothing but this machine reaches it, whatever the server is told to listen on.
    assert run["IPAddressDeny"] == ["any"]
    assert run["IPAddressAllow"] == ["localhost"]
    for key, value in {
        "NoNewPrivileges": "yes",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "PrivateDevices": "yes",
        "ProtectKernelModules": "yes",
        "ProtectKernelTunables": "yes",
        "ProtectControlGroups": "yes",
        "MemoryDenyWriteExecute": "yes",
        "RestrictSUIDSGID": "yes",
        "LockPersonality": "yes",
        "CapabilityBoundingSet": "",
        "RestrictNamespaces": "yes",
        "SystemCallArchitectures": "native",
        "UMask": "0077",
    }.items():
        assert run[key] == [value]
    assert run["ReadOnlyPaths"] == [made.site.data_root]
    assert sections["Unit"]["RequiresMountsFor"] == [made.site.data_root]
    assert sections["Install"]["WantedBy"] == ["multi-user.target"]


@pytest.fixture(scope="module")
def unit_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if shutil.which("systemd-analyze") is None:
        reason = "systemd-analyze is not on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    rendered = files(PLANS["cpu"])["/etc/systemd/system/llama-server@.service"]
    # verify insists on programs that exist.
    content = re.sub(r"(?m)^(ExecStart=).*", r"\1/bin/true", rendered.content)
    content = re.sub(r"(?m)^(ExecStartPre=)\S+", r"\1/bin/true", content)
    path = tmp_path_factory.mktemp("units") / "llama-server@.service"
    path.write_text(content)
    yield path


def _analyze(*words: Any) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_systemd_accepts_the_unit(unit_file: Path) -> None:
    verified = _analyze("verify", "--man=no", unit_file)
    about_it = [line for line in verified.stderr.splitlines() if unit_file.name in line]
    assert (verified.returncode, about_it) == (0, [])


def test_the_unit_is_exposed_to_little(unit_file: Path) -> None:
    scored = _analyze("security", "--offline=true", "--threshold=25", unit_file)
    assert scored.returncode == 0, scored.stdout[-2000:] + scored.stderr


@EVERY_PLAN
def test_llama_server_knows_every_setting(made: HostPlan) -> None:
    text = (HERE / "data" / "llama_server_arguments.txt").read_text()
    known = {line for line in text.splitlines() if not line.startswith("#")}
    for planned in made.services:
        wanted = settings(files(made)[f"/etc/modelrack/services/{planned.name}.env"].content)
        assert {key for key in wanted if key.startswith("LLAMA_ARG_")} <= known
        assert set(wanted) - known == {"MODELRACK_WEIGHTS", "MODELRACK_DIGEST"}


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
        "LLAMA_ARG_THREADS": "12",
        "LLAMA_ARG_ENDPOINT_METRICS": "1",
        "LLAMA_ARG_ENDPOINT_SLOTS": "0",
        "LLAMA_ARG_UI": "0",
        "LLAMA_ARG_OFFLINE": "1",
        "MODELRACK_WEIGHTS": "/data/models/tiny",
        "MODELRACK_DIGEST": digest,
    }


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
        plan(pins=locks(tree_sha256="b" * 64)),
        plan(site=Site(data_root="/srv")),
        _with_hash("f" * 64),
    ],
    ids=[
        *("context", "parallel", "port", "name", "one file", "cores"),
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
        plan(machine=replace(MACHINE, hostname="other", memory=64 << 30)),
        plan(profile(service(), service(name="b", port=8081))),
        plan(profile(service(model=model(title="Another title", licence="other")))),
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
            f"{planned.name}: llama.cpp {made.lane.engines['llama.cpp']} serves {planned.model}"
        )
        assert f"{served} on {planned.url}" in text
        assert all(reason in text for reason in planned.placement.reasons)
    assert ("not pinned yet" in text) == bool(made.unlocked)
    assert ("merged to tiny.gguf" in text) == any(weights.merge for weights in made.weights)
    assert all(warning in text for warning in made.warnings)


def test_kernel_settings_in_the_file_are_those_applied() -> None:
    text = files(PLANS["cpu"])["/etc/sysctl.d/60-modelrack.conf"].content
    assert settings(text) == {key: str(value) for key, value in render.SYSCTL.items()}


def test_a_site_without_mirrors_leaves_apt_at_its_own_sources() -> None:
    assert "/etc/modelrack/apt.sources" not in files(PLANS["cpu"])


@pytest.mark.parametrize(
    ("system", "mirrors"),
    [
        (("debian", "12"), replace(CN, debian=None, debian_security=None)),
        (("ubuntu", "24.04"), replace(CN, ubuntu=None)),
    ],
    ids=["debian", "ubuntu"],
)
def test_mirrors_of_the_other_distribution_leave_apt_at_its_own_sources(
    system: tuple[str, str], mirrors: Mirrors
) -> None:
    os_, release = system
    there = replace(MACHINE, os=os_, os_version=release)
    made = plan(machine=there, site=Site(mirrors=mirrors))
    assert "/etc/modelrack/apt.sources" not in files(made)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "merged",
            [
                f"deb {CN.debian} bookworm main",
                f"deb {CN.debian} bookworm-updates main",
                f"deb {CN.debian_security} bookworm-security main",
            ],
        ),
        (
            "ubuntu",
            [
                f"deb {CN.ubuntu} noble{each} main universe"
                for each in ("", "-updates", "-security")
            ],
        ),
    ],
)
def test_a_site_with_mirrors_names_them(name: str, expected: list[str]) -> None:
    text = files(PLANS[name])["/etc/modelrack/apt.sources"].content
    assert [line for line in text.splitlines() if not line.startswith("#")] == expected


def test_apt_waits_as_long_as_the_site_says() -> None:
    made = plan(site=Site(apt_lock_wait=42))
    assert 'DPkg::Lock::Timeout "42";' in files(made)["/etc/apt/apt.conf.d/60modelrack"].content


@pytest.mark.parametrize("system", [("debian", "14"), ("ubuntu", "25.10"), ("ubuntu", "26.04")])
def test_a_newer_system_is_planned_and_rendered_with_its_own_sources(
    system: tuple[str, str],
) -> None:
    os_, release = system
    made = plan(machine=replace(MACHINE, os=os_, os_version=release))
    assert "/etc/modelrack/apt.sources" not in files(made)


PEERS = pytest.mark.parametrize("name", ["peers", "peers of six"])


@pytest.fixture
def peer_files(name: str, tmp_path: Path) -> dict[str, Path]:
    """What gives weights to others, as files in a folder."""
    made = PLANS[name]
    assert made.peer
    found = {}
    for rendered in render.peer(made, made.peer):
        found[rendered.path] = tmp_path / Path(rendered.path).name
        found[rendered.path].write_text(rendered.content)
    return found


@PEERS
def test_nginx_accepts_its_configuration(name: str, peer_files: dict[str, Path]) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        if os.environ.get("CI") == "true":
            pytest.fail("nginx is not on this machine")
        pytest.skip("nginx is not on this machine")
    path = peer_files["/etc/modelrack/peer.conf"]
    # The folder of its unit, and an address that this machine has.
    content = path.read_text().replace("/run/modelrack-peer", str(path.parent))
    content = re.sub(r"listen \S+:8788;", "listen 127.0.0.1:8788;", content)
    path.write_text(content)
    tested = subprocess.run([nginx, "-t", "-q", "-c", path], capture_output=True, text=True)
    assert (tested.returncode, tested.stderr) == (0, "")


@PEERS
def test_systemd_accepts_the_unit_of_the_peer(name: str, peer_files: dict[str, Path]) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    path = peer_files["/etc/systemd/system/modelrack-peer.service"]
    path.write_text(re.sub(r"(?m)^(ExecStart=)\S+", r"\1/bin/true", path.read_text()))
    verified = _analyze("verify", "--man=no", path)
    about_it = [line for line in verified.stderr.splitlines() if path.name in line]
    assert (verified.returncode, about_it) == (0, [])
    scored = _analyze("security", "--offline=true", "--threshold=20", path)
    assert scored.returncode == 0, scored.stdout[-2000:] + scored.stderr


def test_a_peer_is_there_for_its_network_alone() -> None:
    made = PLANS["peers"]
    assert made.peer
    service, configuration = render.peer(made, made.peer)
    run = unit(service.content)["Service"]
    assert (run["IPAddressDeny"], run["IPAddressAllow"]) == (["any"], ["10.8.0.0/24"])
    assert (run["SocketBindDeny"], run["SocketBindAllow"]) == (["any"], ["ipv4:tcp:8788"])
    assert (run["DynamicUser"], run["ReadOnlyPaths"]) == (["yes"], ["/data"])
    lines = [line.strip() for line in configuration.content.splitlines()]
    assert lines.index("allow 10.8.0.0/24;") + 1 == lines.index("deny all;")
    assert [line for line in lines if line.startswith("listen")] == ["listen 10.8.0.5:8788;"]


def test_nobody_is_answered_before_it_is_known_who_asks() -> None:
    """nginx's `return` is carried out before `allow` and `deny` are."""
    made = PLANS["peers"]
    assert made.peer
    lines = render.peer(made, made.peer)[1].content.splitlines()
    assert not [line for line in lines if line.strip().startswith("return")]
