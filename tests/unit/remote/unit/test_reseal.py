"""What is taken from a unit that was booted, in a folder that stands for its root."""

from __future__ import annotations

import json
from pathlib import Path

from deploys.remote.unit import reseal


def test_identities_go_and_the_rest_stays(tmp_path: Path) -> None:
    manifest = {"files": [{"path": "m.gguf", "sha256": "a", "mtime_ns": 5, "inode": 7}]}
    files = {
        "etc/ssh/ssh_host_ed25519_key": "key",
        "etc/ssh/sshd_config": "kept",
        "etc/machine-id": "0123\n",
        "root/.ssh/authorized_keys": "key",
        "var/log/journal/1/system.journal": "log",
        "var/lib/modelrack/state.json": '{"plan": {"site": {"data_root": "/srv"}}}',
        "srv/models/m/manifest.json": json.dumps(manifest),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    told = {
        "remove": ["etc/ssh/ssh_host_*", "root/.ssh", "etc/not-there"],
        "rewrite": {"etc/machine-id": "uninitialized\n"},
        "empty": ["var/log"],
    }
    assert reseal.reseal(tmp_path, told) == 4
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == {
        "etc/ssh/sshd_config",
        "etc/machine-id",
        "var/lib/modelrack/state.json",
        "srv/models/m/manifest.json",
    }
    assert (tmp_path / "etc/machine-id").read_text() == "uninitialized\n"
    found = json.loads((tmp_path / "srv/models/m/manifest.json").read_text())["files"][0]
    # The next boot reads and proves every byte, as the first one did.
    assert (found["mtime_ns"], found["inode"]) == (0, None)
    assert (tmp_path / "var/log/journal/1").is_dir()
