"""A script on machines that answer what the test says, with group data of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.unit import ROOT


def run(
    folder: Path, deploy: str, hosts: dict[str, dict[str, Any]], *options: str, data: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run it as an operator would type it; nobody answers questions.

    + folder: an empty one, for the inventory
    + hosts: by name, what they answer to commands that hold a text
    + data: further lines for the group data of cpu
    """
    faked = [
        (f"@fake/{name}", {"fake_responses": said, "fake_delay": 0, "fake_delay_jitter": 0})
        for name, said in hosts.items()
    ]
    (folder / "cpu.py").write_text(f"cpu = {faked!r}\n")
    group_data = folder / "group_data"
    group_data.mkdir(exist_ok=True)
    for name in ("all", "cpu"):
        text = (ROOT / "inventories" / "group_data" / f"{name}.py").read_text()
        (group_data / f"{name}.py").write_text(f"{text}\n{data if name == 'cpu' else ''}")
    return subprocess.run(
        [sys.executable, "-m", "pyinfra", str(folder / "cpu.py"), deploy, "-y", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        check=False,
    )
