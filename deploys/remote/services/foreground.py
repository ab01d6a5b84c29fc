"""Run what a unit runs, in the foreground, where no systemd would start it: in most containers.

    modelrack.pyz serve vllm@r1.service

The unit's settings, user, folders and commands count, and what proves the weights runs first. What
confines a unit is systemd's and is not had: the container confines it.
"""

from __future__ import annotations

import os
import pwd
import re
import resource
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..lib.failure import Failure
from ..lib.probe import read

UNITS = Path("/etc/systemd/system")
# Where systemd has what a unit calls its cache and its state: %C and %S.
FOLDERS = {"CacheDirectory": Path("/var/cache"), "StateDirectory": Path("/var/lib")}
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_VARIABLE = re.compile(r"\$\{(\w+)\}")


def run(
    unit: str, units: Path = UNITS, folders: Mapping[str, Path] = FOLDERS, root: bool | None = None
) -> int:
    """Become the program of `unit`; return only if it cannot be started.

    + root: whether the unit's user can be taken on; None asks who runs this
    """
    root = os.geteuid() == 0 if root is None else root
    name, at, instance = unit.removesuffix(".service").partition("@")
    text = read(units / f"{name}{at}.service")
    if not text or not name or bool(at) != bool(instance):
        there = sorted(path.name for path in units.glob("*.service"))
        raise Failure(
            f"There is no unit {unit} in {units}, which has {', '.join(there) or 'none'}: name one"
            " as the plan does, or run deploys/full.py, which writes it"
        )
    words = {"i": instance, "n": f"{name}{at}{instance}.service", "%": "%"}
    words |= {"C": str(folders["CacheDirectory"]), "S": str(folders["StateDirectory"])}
    own = sorted((units / f"{name}{at}{instance}.service.d").glob("*.conf"))
    text = "\n".join([text, *map(read, own)])
    settings = [
        (key, re.sub(r"%(.)", lambda match: words.get(match[1], match[0]), value))
        for key, value in _settings(text)
    ]
    named = dict(settings).get("User")
    user = pwd.getpwnam(named) if root and named else None
    who = user or pwd.getpwuid(os.geteuid())
    environment = {**_ENVIRONMENT, "HOME": who.pw_dir, "USER": who.pw_name}
    environment |= _environment(settings)
    for key, folder in folders.items():
        for value in (value for found, value in settings if found == key):
            (folder / value).mkdir(parents=True, exist_ok=True)
            if user:
                os.chown(folder / value, user.pw_uid, user.pw_gid)
    for command in _commands(settings, "ExecStartPre", environment):
        _first(command, environment)
    (program,) = _commands(settings, "ExecStart", environment)
    # As systemd has it; a container may allow less.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    _take_on(user)
    for command in _commands(settings, "ExecStartPost", environment):
        subprocess.Popen(command, env=environment)
    os.execve(program[0], program, environment)


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Yield the settings of a unit file's [Service], in order."""
    section = ""
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            yield key.strip(), value.strip()


def _environment(settings: list[tuple[str, str]]) -> dict[str, str]:
    """Return the variables of Environment=, and over them those of EnvironmentFile=."""
    found: dict[str, str] = {}
    for key, value in settings:
        if key == "Environment":
            found |= dict(word.split("=", 1) for word in shlex.split(value))
    for file in (value for key, value in settings if key == "EnvironmentFile"):
        for line in read(file).splitlines():
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith(("#", ";")):
                quoted = value[:1] in {'"', "'"} and value[:1] == value[-1:]
                found[name] = shlex.split(value)[0] if quoted and len(value) > 1 else value
    return found


def _commands(
    settings: list[tuple[str, str]], key: str, environment: Mapping[str, str]
) -> Iterator[list[str]]:
    """Yield commands with their variables put in: ${A} within a word, $A as words of its own."""
    for value in (value for found, value in settings if found == key):
        command: list[str] = []
        for word in shlex.split(value.lstrip("+-@:!")):
            if re.fullmatch(r"\$\w+", word):
                command += shlex.split(environment.get(word[1:], ""))
            else:
                command.append(_VARIABLE.sub(lambda match: environment.get(match[1], ""), word))
        yield command


def _first(command: list[str], environment: Mapping[str, str]) -> None:
    """Run what comes before the program, as whoever runs this."""
    code = subprocess.run(command, env=dict(environment), check=False).returncode
    if code:
        raise Failure(f"{shlex.join(command)} ended with code {code}: nothing was started")


def _take_on(user: pwd.struct_passwd | None) -> None:
    """Take on the unit's user for good, with what its processes may leave to others."""
    os.umask(0o077)
    os.chdir("/")
    if user:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
