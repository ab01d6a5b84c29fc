"""Waves of machines, each of which is a run of pyinfra in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice

from deploys.control.clients import services
from deploys.control.clients.services import ListedHost
from deploys.planning.group.waves import RolledHost, waves
from deploys.planning.inputs.refusal import Refusal

# Machines at the same time; a run of more would not be over sooner.
_AT_ONCE = 32
_OURS = ("--limit", "--serial", "--parallel")
# Who gives them may give hosts another profile.
_DATA = ("--data", "--group-data")


def planned(inventory: str, upto: str, after: str | None, more: Sequence[str]) -> list[list[str]]:
    """Return the names of each wave's machines; raise Refusal if there are none.

    + upto, after: as waves() knows them
    + more: options of pyinfra
    """
    if any(word.partition("=")[0] in _OURS for word in more):
        raise Refusal(
            f"{', '.join(_OURS)} are what the waves are made with",
            "Leave them out, and say with --waves how many machines are done after each",
        )
    hosts = services.listed(inventory, *_about_hosts(more))
    found = waves([*map(_host, hosts)], upto, after)
    if not found:
        raise Refusal(f"Nothing comes after {after}", "Leave --after out to begin anew")
    return found


def run(inventory: str, deploy: str, wave: Sequence[str], more: Sequence[str]) -> int:
    """Deploy to these machines, and return pyinfra's exit code; 130 if it was interrupted."""
    limits = [word for name in wave for word in ("--limit", name)]
    at_once = ("--parallel", str(min(len(wave), _AT_ONCE)))
    command = [sys.executable, "-m", "pyinfra", inventory, deploy, "-y", *at_once, *limits, *more]
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 130


def _about_hosts(more: Sequence[str]) -> Iterator[str]:
    """Yield those options of pyinfra that say what hosts are."""
    words = iter(more)
    for word in words:
        if word.partition("=")[0] in _DATA:
            yield word
            if "=" not in word:
                yield from islice(words, 1)


def _host(listed: ListedHost) -> RolledHost:
    profile = listed["data"].get("profile") or {}
    together = [service.get("machines", 1) for service in profile.get("services", ())]
    return RolledHost(
        name=listed["name"],
        of_class=json.dumps(profile, sort_keys=True),
        machines=max(together, default=1),
    )
