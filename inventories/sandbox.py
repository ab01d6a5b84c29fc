"""The throwaway machines of `make demo`, or of `python -m tests.lab up`."""

import json
from pathlib import Path

from deploys.planning.inputs.refusal import Refusal

_lab = Path(__file__).resolve().parents[1] / ".lab" / "sandbox" / "lab.json"
if not _lab.exists():
    raise Refusal("No throwaway machine is up", "make demo, or python -m tests.lab up")

hosts = [
    (
        _machine["name"],
        {
            "ssh_hostname": _machine["address"],
            "ssh_key": _machine["key"],
            "ssh_known_hosts_file": _machine["known_hosts"],
        },
    )
    for _machine in json.loads(_lab.read_text())["machines"]
]
