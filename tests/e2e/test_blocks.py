"""Each building block on a real machine, twice; the second time nothing changes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.e2e import stub
from tests.e2e.rack import Rack
from tests.lab.github import GitHub

DEPLOY = "tests/e2e/deploys/blocks.py"
SECRET = "correct horse battery staple"


def test_every_block_converges(make_rack: Callable[..., Rack], tmp_path: Path) -> None:
    with GitHub(tmp_path / "github") as github:
        archive = stub.publish(tmp_path / "github")
        requirements = tmp_path / "requirements.txt"
        requirements.write_text(_lock("idna==3.10"))
        # A secret is read by the deploy; pyinfra prints all data of the inventory under --debug.
        secret = tmp_path / "secret"
        secret.write_text(SECRET)
        rack = make_rack(
            1,
            extra=f"{archive.data}\nsecret = {str(secret)!r}\n"
            f"requirements = {str(requirements)!r}\n"
            f"site = replace(site, mirrors=replace(site.mirrors, github=_lab['stub_github']))",
        )
        machine = rack.machines[0]
        rack.tell(stub_github=github.listen(machine.address.rsplit(".", 1)[0] + ".1"))

        first = rack.deploy("--json", "-vvv", "--debug", deploy=DEPLOY)
        assert first.code == 0, first.output
        assert SECRET not in first.output
        second = rack.deploy("--json", deploy=DEPLOY)
        assert second.code == 0, second.output
        assert second.changed == []

    assert machine.ssh("stat -c %a%U /etc/blocks/key").stdout == "600root\n"
    assert machine.ssh("cat /etc/blocks/current").stdout == SECRET
    assert len(machine.ssh("cat /root/once").stdout.splitlines()) == 1
    assert "project(stub C)" in machine.ssh("cat /opt/modelrack/stub-1/CMakeLists.txt").stdout
    python = "/opt/modelrack/engines/blocks/*/bin/python"
    assert machine.ssh(f"{python} -c 'import idna; print(idna.__version__)'").stdout == "3.10\n"
    assert "policy drop" in machine.ssh("nft list table inet modelrack").stdout
    # One content with two names, and what Ollama reads is Ollama's.
    blobs = machine.ssh("stat -c %h%U /data/ollama/blobs/*").stdout.splitlines()
    assert sorted(blobs) == ["1nobody", "2root"]
    found = machine.ssh("cat /data/ollama/manifests/registry.ollama.ai/library/tiny/latest").stdout
    assert json.loads(found)["layers"][0]["mediaType"] == "application/vnd.ollama.image.model"


def _lock(requirement: str) -> str:
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent)]))
    assert uv
    return subprocess.run(
        [uv, "pip", "compile", "--quiet", "--generate-hashes", "--no-header", "-"],
        input=requirement,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
