"""Lines that engines and their libraries print when they cannot start, and what to do then.

Here is what a row is; the rows that engines share are in the files beside this one, those of one
engine in its record, which also names the groups that it takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

# Causes come before their consequences: the first row that matches a line of a journal counts.
About = Literal[
    "port",
    "files",
    "folders",
    "libraries",
    "network",
    "division",
    "context",
    "GPU memory",
    "host memory",
    "shared memory",
    "GPU",
    "links",
    "settings",
    "graphs",
    "compiler",
    "process",
]
ORDER: tuple[str, ...] = get_args(About)


@dataclass(frozen=True, kw_only=True)
class Known:
    """One kind of line.

    + about: what fails; the rows of an engine are tried in the order of `About`
    + pattern: searched for anywhere in the line
      A group called `port` has to be the service's own, or the row does not match
    + says: what it means and what to change, of which we are sure; named groups of the pattern are
      filled in, and so are {engine} and the service's {port}
    + source: where the line is printed, or was seen
    """

    about: About
    pattern: re.Pattern[str]
    says: str
    source: str


def known(about: About, pattern: str, says: str, source: str) -> Known:
    """Return one row."""
    return Known(about=about, pattern=re.compile(pattern), says=says, source=source)


# Parts of what is said.
FETCH = "run deploys.stages.weights.fetch, which fetches what is missing"
DRIVER = "leave driver out of the profile and run deploys.stages.nvidia.install"
OTHER_USER = "stop what else uses the GPUs (nvidia-smi names it)"
TAKEN = (
    "Another process has port {port}: stop it (ss -ltnp 'sport = :{port}' names it), or give the"
    " service another port"
)
