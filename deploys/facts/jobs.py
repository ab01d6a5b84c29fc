"""The state of long-running jobs on the machine."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from pyinfra.api import FactBase, StringCommand

from deploys.connection import programs

JobState = Literal["none", "running", "done", "failed", "lost"]


@dataclass(frozen=True)
class Status:
    """The state of one job.

    + state: lost means that it was started and that neither the process nor its result exists: the
      machine went down, or somebody killed it
    + progress: {"done": n, "total": n, "unit": "B" or "steps", "step": what is being done}
    + tail: last lines of its log
    + elapsed: seconds since it was started
    """

    state: JobState = "none"
    exit: int | None = None
    progress: dict[str, Any] | None = None
    tail: tuple[str, ...] = ()
    elapsed: float | None = None

    def to_json(self) -> dict[str, object]:
        return dict(vars(self))


class Job(FactBase[Status]):
    """
    Return the state of one job.

    + directory: its directory below /var/lib/modelrack/jobs
    """

    default = Status

    def command(self, directory: str) -> StringCommand:
        # Before the archive is there no job can be, either.
        return StringCommand(
            *("test", "-e", programs.path(), "||", "exit", "0", ";"),
            programs.command("job", "status", directory, "--tail", "30"),
        )

    def process(self, output: list[str]) -> Status:
        return parse_status(output[-1])


def parse_status(line: str) -> Status:
    """Parse the line that `job status` prints."""
    data = json.loads(line)
    return Status(
        data["state"], data["exit"], data["progress"], tuple(data["tail"]), data.get("elapsed")
    )
