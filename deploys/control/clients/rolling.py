"""Waves of machines, each of which is a run of pyinfra in a process of its own."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from deploys.control.clients import services
from deploys.control.clients.services import ListedHost
from deploys.planning.group.waves import RolledHost, gateways, waves
from deploys.planning.inputs.refusal import Refusal

# Machines at the same time; a run of more would not be over sooner.
_AT_ONCE = 32
_DRAIN = "deploys/drain.py"
_OURS = ("--limit", "--serial", "--parallel")
# Who gives them may give hosts another profile.
_DATA = ("--data", "--group-data")


@dataclass(frozen=True)
class Wave:
    """Machines that are changed in one run, and those whose gateways are told of it."""

    machines: list[str]
    gateways: list[str]


def planned(inventory: str, upto: str, after: str | None, more: Sequence[str]) -> list[Wave]:
    """Return the waves; raise Refusal if there are none.

    + upto, after: as waves() knows them
    + more: options of pyinfra
    """
    if any(word.partition("=")[0] in _OURS for word in more):
        raise Refusal(
            f"{', '.join(_OURS)} are what the waves are made with",
            "Leave them out, and say with --waves how many machines are done after each",
        )
    hosts = [*map(_host, services.listed(inventory, *_about_hosts(more)))]
    found = waves(hosts, upto, after)
    if not found:
        raise Refusal(f"Nothing comes after {after}", "Leave --after out to begin anew")
    return [Wave(names, gateways(hosts, names)) for names in found]


def run(inventory: str, deploy: str, wave: Wave, more: Sequence[str]) -> int:
    """Deploy to these machines, and return pyinfra's exit code; 130 if it was interrupted."""
    return _pyinfra(inventory, deploy, wave.machines, more)


def drain(inventory: str, wave: Wave, more: Sequence[str]) -> int:
    """Have the gateways ask these machines no longer, and return pyinfra's exit code.

    Where it fails, they ask them as before.
    """
    if not wave.gateways:
        return 0
    code = _pyinfra(inventory, _DRAIN, wave.gateways, [*_data("away", wave), *more])
    if code:
        put_back(inventory, wave, more)
    return code


def put_back(inventory: str, wave: Wave, more: Sequence[str]) -> int:
    """Have the gateways ask these machines again, and return pyinfra's exit code."""
    if not wave.gateways:
        return 0
    return _pyinfra(inventory, _DRAIN, wave.gateways, [*_data("back", wave), *more])


def next_step(words: Sequence[str], wave: Wave, more: Sequence[str]) -> str:
    """Return what an operator types after this wave has failed.

    + words: with which roll goes on, without the options of pyinfra
    """
    go_on = shlex.join([*words, *(["--", *more] if more else [])])
    said = f"When it is put right, go on with: python -m deploys.roll {go_on}"
    if not wave.gateways:
        return said
    limits = [word for name in wave.gateways for word in ("--limit", name)]
    back = shlex.join([words[0], _DRAIN, "-y", *limits, *_data("back", wave), *more])
    return (
        f"{said}\nUntil then {', '.join(wave.gateways)} may not ask {', '.join(wave.machines)}; to"
        f" have that done all the same: pyinfra {back}"
    )


def _data(way: str, wave: Wave) -> tuple[str, str]:
    return "--data", f"{way}={','.join(wave.machines)}"


def _pyinfra(inventory: str, deploy: str, names: Sequence[str], more: Sequence[str]) -> int:
    limits = [word for name in names for word in ("--limit", name)]
    at_once = ("--parallel", str(min(len(names), _AT_ONCE)))
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
    gateway = profile.get("gateway")
    return RolledHost(
        name=listed["name"],
        of_class=json.dumps(profile, sort_keys=True),
        machines=max(together, default=1),
        asks=frozenset((listed["name"], *gateway["also"]) if gateway else ()),
    )
