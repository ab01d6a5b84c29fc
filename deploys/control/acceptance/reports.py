"""The reports of a run: of each machine as JSON, and which machines differ from the others."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

from pyinfra import logger
from pyinfra.api import Host, State

from deploys.control.acceptance import session
from deploys.control.acceptance.page import page
from deploys.control.clients.gathered import Gathered
from deploys.control.replaced import replace
from deploys.planning.acceptance.check import is_accepted
from deploys.planning.acceptance.document import SCHEMA, document
from deploys.planning.acceptance.outliers import outliers


def write(state: State, host: Host) -> bool:
    """Write the report of a machine, say what came of it, and return whether it is accepted."""
    this = session.of(host)
    made = document(
        host.name,
        this.machine,
        this.plan,
        this.checks,
        this.measured,
        tested=this.options.phases,
        quick=this.options.quick,
        times=(this.begun, time.time()),
    )
    folder = this.options.output
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{session.file_name(host.name)}.json"
    replace(path, json.dumps(made, indent=2, ensure_ascii=False) + "\n")
    replace(path.with_suffix(".html"), page(made, this.checks, this.options.language))
    _BATCH.add(state, host, folder)
    wrong = [check for check in this.checks if check.is_failure]
    if not is_accepted(this.checks):
        logger.error(
            f"{host.print_prefix}not accepted: {len(wrong)} of {len(this.checks)} checks failed or"
            f" did not run; {path}"
        )
        for check in wrong:
            logger.error(f"{host.print_prefix}  {check.line(this.options.language)}")
        return False
    how = "quickly looked at, all is well" if this.options.quick else "accepted"
    logger.info(f"{host.print_prefix}{how}: {len(this.checks)} checks; {path}")
    return True


def _compare(folders: dict[str, Path], missing: Sequence[str]) -> None:
    """Compare all reports of the folders, those of earlier runs, too, and say what stands out."""
    for folder in sorted(set(folders.values())):
        read = [json.loads(path.read_text(encoding="utf-8")) for path in _reports(folder)]
        found = outliers([each for each in read if each.get("schema") == SCHEMA])
        told = json.dumps([each.to_json() for each in found], indent=2, ensure_ascii=False)
        replace(folder / OUTLIERS, told + "\n")
        for each in found:
            logger.warning(str(each))


def _reports(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.json")) if path.name != OUTLIERS]


# Beside the reports; no host is called so.
OUTLIERS = "outliers.json"
_BATCH = Gathered(_compare)
