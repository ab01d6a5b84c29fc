"""Pinned by a run of its own, fetched by the next, checked by headers, left alone by the third."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.rack import Rack
from tests.lab import tiny_tree
from tests.lab.hub import Hub

LOCK, TREE, WEIGHTS = (
    "deploys/lock.py",
    "tests/e2e/deploys/tree.py",
    "tests/e2e/deploys/weights_only.py",
)
CANARY = "hf_canary0123456789"
# A service that this version does not deploy yet: its weights can be had all the same.
SERVICE = """
profile = replace(profile, locked=True, services=(replace(
    profile.services[0], name="tree", engine="vllm", merge=None,
    model=replace(
        profile.services[0].model, key="tiny-tree", format="safetensors", quantization={claimed!r},
        modelscope={repository!r}, huggingface={repository!r}, files=("*.safetensors", "*.json"),
    ),
),))
"""


@pytest.fixture(scope="module")
def rack_with(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Callable[..., Rack]]:
    """`rack_with(extra)` is the one machine, with another inventory and no pins yet."""
    lab = lab_factory(1, name="hubs")
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    yield lambda extra: Rack(lab, hub, github, tmp_path_factory.mktemp("hubs"), extra)


@pytest.fixture(autouse=True)
def nothing_wrong(lab_hub: Hub) -> Iterator[None]:
    yield
    lab_hub.faults.clear()
    lab_hub.gates.clear()


def _pins(rack: Rack) -> dict[str, dict[str, object]]:
    return yaml.safe_load((rack.folder / ".lab/sandbox/locks/weights.yaml").read_text())


def test_a_tree_is_pinned_fetched_checked_and_then_left_alone(
    rack_with: Callable[..., Rack], lab_hub: Hub
) -> None:
    repository = tiny_tree.publish(lab_hub.root)
    rack = rack_with(SERVICE.format(claimed="AWQ", repository=repository))
    machine = rack.machines[0]

    pinned = rack.deploy(deploy=LOCK)
    assert pinned.code == 0, pinned.output
    assert "tiny-tree is pinned: 5 files" in pinned.output
    entry = _pins(rack)["tiny-tree"]
    commit = lab_hub.commit(repository)
    assert (entry["hub"], entry["revision"]) == ("modelscope", commit)
    assert entry["also"] == [{"hub": "huggingface", "repository": repository, "revision": commit}]
    assert machine.ssh("ls -d /etc/modelrack /data", check=False).stdout == ""

    first = rack.deploy("--json", deploy=TREE)
    assert first.code == 0, first.output
    folder = "/data/models/tiny-tree"
    manifest = json.loads(machine.ssh(f"cat {folder}/manifest.json").stdout)
    assert {file["path"] for file in manifest["files"]} == {file["path"] for file in entry["files"]}
    log = machine.ssh("cat /var/lib/modelrack/jobs/fetch-tiny-tree-*/log").stdout
    assert "complete by its headers, quantization AWQ" in log

    lab_hub.requests.clear()
    second = rack.deploy("--json", deploy=TREE)
    assert second.code == 0 and second.changed == [], second.output
    assert not lab_hub.requests
    again = rack.deploy(deploy=LOCK)
    assert again.code == 0 and "tiny-tree is unchanged" in again.output
    assert _pins(rack)["tiny-tree"] == entry

    lab_hub.faults.add("wrong_sha256", f"{repository}/model-00001*")
    refused = rack.deploy(deploy=LOCK)
    assert refused.code == 1, refused.output
    assert "no longer has what is pinned" in refused.output
    true = next(each for each in lab_hub.entries(repository) if "model-00001" in each.path)
    assert true.sha256 in refused.output and "there, and" in refused.output
    assert _pins(rack)["tiny-tree"] == entry


def test_a_shard_that_the_hub_itself_has_cut_off_is_refused(
    rack_with: Callable[..., Rack], lab_hub: Hub
) -> None:
    repository = tiny_tree.publish(lab_hub.root, "GPTQ")
    files = tiny_tree.files("GPTQ")
    shard = "model-00002-of-00002.safetensors"
    (lab_hub.root / repository / shard).write_bytes(files[shard][:-100])
    extra = SERVICE.format(claimed="GPTQ", repository=repository).replace("tiny-tree", "cut-off")
    rack = rack_with(extra)
    assert rack.deploy(deploy=LOCK).code == 0
    run = rack.deploy(deploy=TREE)
    assert run.code == 1, run.output
    assert f"{shard} has" in run.output and "the file is not whole" in run.output
    found = rack.machines[0].ssh("ls /data/models/cut-off").stdout.split()
    assert shard in found and "manifest.json" not in found


def test_a_tree_of_another_kind_than_the_catalogue_says_is_refused(
    rack_with: Callable[..., Rack], lab_hub: Hub
) -> None:
    repository = tiny_tree.publish(lab_hub.root, "FP8")
    extra = SERVICE.format(claimed="AWQ", repository=repository).replace("tiny-tree", "other-kind")
    rack = rack_with(extra)
    lab_hub.requests.clear()
    run = rack.deploy(deploy=LOCK)
    assert run.code == 1, run.output
    assert "its entry says AWQ, and config.json says FP8" in run.output
    assert "Set quantization='FP8' of the model" in run.output
    # Said before a byte of the weights was fetched.
    assert not [each.path for each in lab_hub.requests if "-of-" in each.path]
    assert rack.machines[0].ssh("ls /data/models/other-kind", check=False).stdout == ""


def test_a_gated_model_with_a_token_and_asked_by_the_machine(
    rack_with: Callable[..., Rack],
    lab_hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    repository = "modelrack-lab/tiny-qwen2-gguf"
    lab_hub.gates[repository] = CANARY
    rack = rack_with("")
    gated = rack.deploy(deploy=LOCK)
    assert gated.code == 1 and "wants a token" in gated.output, gated.output
    assert "tokens={'modelscope': Path(...)}" in gated.output

    token = tmp_path / "token"
    extra = f"site = replace(site, tokens={{'modelscope': Path({str(token)!r}),"
    rack = rack_with(f"{extra} 'huggingface': Path({str(token)!r})}})")
    absent = rack.deploy(deploy=LOCK)
    assert absent.code == 1 and f"cannot be read from {token}" in absent.output
    token.write_text(f"{CANARY}\n")

    # Here is no way to a hub, as in many a lab; the machine has one.
    with monkeypatch.context() as blocked:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
            blocked.setenv(name, "http://127.0.0.1:9")
        for name in ("no_proxy", "NO_PROXY"):
            blocked.delenv(name, raising=False)
        lab_hub.requests.clear()
        pinned = rack.deploy("-vvv", "--debug", deploy=LOCK)
    assert pinned.code == 0, pinned.output
    assert "no hub can be reached from here, so this machine asks them" in pinned.output
    assert len(_pins(rack)["tiny-qwen2"]["also"]) == 1
    assert all(request.authorized for request in lab_hub.requests)

    first = rack.deploy("-vvv", "--debug", "--json", deploy=WEIGHTS)
    assert first.code == 0, first.output
    second = rack.deploy("--json", deploy=WEIGHTS)
    assert second.code == 0 and second.changed == [], second.output
    machine = rack.machines[0]
    secrets = "/etc/modelrack/secrets"
    assert machine.ssh(f"stat -c '%a %U' {secrets} {secrets}/*").stdout.split("\n")[:3] == [
        "700 root",
        "600 root",
        "600 root",
    ]
    found = machine.ssh(f"grep -rl {CANARY} /etc /var /data /opt /run /tmp", check=False).stdout
    assert sorted(found.split()) == [f"{secrets}/huggingface.token", f"{secrets}/modelscope.token"]
    for said in (gated, absent, pinned, first, second):
        assert CANARY not in said.output, "a token is in what was printed"
    assert CANARY not in (rack.folder / ".lab/sandbox/locks/weights.yaml").read_text()
