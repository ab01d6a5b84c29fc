"""Compare each machine with its plan, and write nothing there.

pyinfra inventories/h800.py deploys/audit.py -y
pyinfra inventories/h800.py deploys/audit.py -y --data deep=true       read every byte
pyinfra inventories/h800.py deploys/audit.py -y --data format=json     a line of JSON a machine

What deploys/full.py would change is named with what differs; and so is what it does not see: files,
units, accounts and versions of ours that no plan has, open ports, known vulnerabilities. With
deep=true also the packages' own checksums, weights by their hashes, and installed software. A
machine that differs counts as failed, so the exit code is 1 unless all are as planned.
"""

from pathlib import Path

from pyinfra import host, state

from deploys.connection import looking
from deploys.control.current_plan import without_python
from deploys.control.lifecycle import audited

as_json = host.data.get("format") == "json"
looking.begin(state.inventory.get_host(host.name))

first = without_python(to_change=False)
if first:
    audited.report([("Install Python", [f"{first.package} is not installed"])], as_json=as_json)

# What a deploy would do is what there is to compare.
looking.script(Path(__file__).with_name("full.py"))

audited.report(audited.compare(deep=host.data.get("deep") is True), as_json=as_json)
