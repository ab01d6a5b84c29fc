"""What is held against the machine itself: deployed as planned, sound, with a disk fast enough."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploys.planning.acceptance.check import AcceptanceCheck, at_least, failed, not_run
from deploys.planning.acceptance.limits import Limits
from deploys.planning.inputs.refusal import Refusal

# Parts of what is recorded that say where this run comes from, and nothing of the machine.
_OF_THE_RUN = {"hostname"}


def checks(
    refusals: Sequence[Refusal],
    planned: Mapping[str, Any],
    seen: Mapping[str, Any],
    limits: Limits,
) -> Iterator[AcceptanceCheck]:
    """Yield the checks of a machine as it is at rest.

    + refusals: why the plan cannot be carried out
    + planned: what would be recorded of it (HostPlan.deployed)
    + seen: what remote/acceptance/look.py has printed
    """
    for refusal in refusals:
        yield failed("host", "plan", "refused", text=refusal.reason)
    if not refusals:
        yield AcceptanceCheck(phase="host", name="plan")
        yield _as_planned(planned, seen["deployed"])
    units = seen["failed_units"]
    if units:
        yield failed("host", "units", "unit failed", units=", ".join(units))
    else:
        yield AcceptanceCheck(phase="host", name="units", measured=0, wanted=0)
    yield _memory(seen["host_uncorrected"])
    yield from _disk(seen["disk"], limits)


def _as_planned(planned: Mapping[str, Any], recorded: Mapping[str, Any] | None) -> AcceptanceCheck:
    if recorded is None:
        return failed("host", "deployed", "not deployed")
    # As the record went through JSON.
    wanted = json.loads(json.dumps(planned))
    other = [part for part in wanted if wanted[part] != recorded.get(part)]
    if other := [part for part in other if part not in _OF_THE_RUN]:
        return failed("host", "deployed", "other plan", part=", ".join(other))
    return AcceptanceCheck(phase="host", name="deployed")


def _memory(uncorrected: int | None) -> AcceptanceCheck:
    if uncorrected:
        return failed("host", "memory errors", "host memory", count=uncorrected)
    if uncorrected is None:
        # Neither memory without ECC nor a container counts any.
        return not_run("host", "memory errors", "not counted", required=False)
    return AcceptanceCheck(phase="host", name="memory errors", measured=uncorrected, wanted=0)


def _disk(disk: Mapping[str, Any], limits: Limits) -> Iterator[AcceptanceCheck]:
    path = disk["path"]
    for name, wanted in (("disk read", limits.disk_read), ("disk write", limits.disk_write)):
        if disk["error"]:
            yield not_run(
                "host", name, "no room", path, required=True, path=path, text=disk["error"]
            )
            continue
        speed = disk["read" if name == "disk read" else "write"] / 1e9
        yield at_least(
            *("host", name, speed, wanted, "GB/s", "slow disk", path),
            source=limits.source,
            path=path,
        )
