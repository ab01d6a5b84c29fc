"""What is ours is found by its mark or its name, and nothing that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.remote.lifecycle import ours

MARK = "# Written by modelrack.\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    files = {
        "etc/systemd/system/vllm@.service": MARK,
        "etc/systemd/system/modelrack-old.timer": "[Timer]\n",
        "etc/systemd/system/vllm@r1.service.d/memory.conf": MARK,
        "etc/systemd/system/vllm@r1.service.d/mine.conf": "[Service]\n",
        "etc/systemd/system/cron.service.d/mine.conf": "[Service]\n",
        "run/systemd/system/vllm@.service.d/more.conf": "[Service]\n",
        "etc/systemd/system.control/modelrack-old.timer.d/50-x.conf": "[Unit]\n",
        "etc/systemd/system/nginx.service": "[Service]\n",
        "etc/sysctl.d/60-modelrack.conf": "vm.swappiness = 60\n",
        "etc/sysctl.d/10-mine.conf": "# for modelracks\n",
        "etc/apt/preferences.d/cuda": f"{MARK}Package: *\n",
        "etc/apt/preferences.d/mymodelracked": "Package: *\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    for name in ("vllm@r1.service", "modelrack-gone.service", "nginx.service"):
        (wants / name).symlink_to(f"/etc/systemd/system/{name}")
    return tmp_path


def test_files_are_found_by_their_first_words_or_their_name(root: Path) -> None:
    assert ours.marked(root) == [
        "/etc/apt/preferences.d/cuda",
        "/etc/sysctl.d/60-modelrack.conf",
        "/etc/systemd/system/modelrack-old.timer",
        "/etc/systemd/system/vllm@.service",
        "/etc/systemd/system/vllm@r1.service.d/memory.conf",
    ]
    assert ours.units(root) == {"modelrack-old.timer", "vllm@.service"}


def test_additions_to_our_units_are_found_wherever_systemd_reads_them(root: Path) -> None:
    assert ours.additions(root) == [
        "/etc/systemd/system.control/modelrack-old.timer.d/50-x.conf",
        "/etc/systemd/system/vllm@r1.service.d/memory.conf",
        "/etc/systemd/system/vllm@r1.service.d/mine.conf",
        "/run/systemd/system/vllm@.service.d/more.conf",
    ]


def test_links_that_start_our_units_are_found_though_the_unit_is_gone(root: Path) -> None:
    wants = "/etc/systemd/system/multi-user.target.wants"
    assert ours.enabled(root) == [f"{wants}/modelrack-gone.service", f"{wants}/vllm@r1.service"]


def test_accounts_are_ours_by_their_names() -> None:
    passwd = "root:x:0:0::/root:/bin/sh\nmodelrack:x:9:9::/:/bin/sh\nmodelracks:x:8:8::/:/bin/sh\n"
    assert ours.accounts(f"{passwd}modelrack-webui:x:7:7::/:/bin/sh\n") == [
        "modelrack",
        "modelrack-webui",
    ]
