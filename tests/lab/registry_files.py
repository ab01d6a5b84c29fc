"""Of the files that the programs of registries read on the host, what says how these are reached.

Proxies, addresses, keys, certificates and whether dates are believed. What else such a file has,
or packages have put beside it, belongs to the host alone.
"""

from __future__ import annotations

import configparser
import json
import netrc as netrc_files
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_PIP = (
    *("index-url", "extra-index-url", "no-index", "find-links", "proxy", "trusted-host"),
    *("cert", "client-cert", "timeout"),
)
_UV = (
    *("index", "index-url", "extra-index-url", "no-index", "find-links", "index-strategy"),
    *("allow-insecure-host", "native-tls", "system-certs", "keyring-provider"),
)


def pip(path: Path) -> str:
    """pip's configuration."""
    settings = configparser.RawConfigParser()
    settings.read_string(path.read_text())
    kept = ""
    for section in settings.sections():
        pairs = [(key, value) for key, value in settings.items(section) if key in _PIP]
        # A value of several lines is indented.
        lines = ["{} = {}".format(key, value.replace("\n", "\n\t")) for key, value in pairs]
        kept += "".join(f"{line}\n" for line in [f"[{section}]", *lines]) if pairs else ""
    return kept


def uv(path: Path) -> str:
    """uv's settings; they are the same below `pip`."""
    settings = tomllib.loads(path.read_text())
    lines = [f"{key} = {_toml(settings[key])}" for key in _UV if key in settings]
    below = [key for key in _UV if key in settings.get("pip", {})]
    lines += ["[pip]"] * bool(below) + [f"{key} = {_toml(settings['pip'][key])}" for key in below]
    return "".join(f"{line}\n" for line in lines)


def netrc(path: Path, named: str) -> str:
    """The logins for hosts that occur in a text."""
    lines = []
    for host, (login, _, password) in netrc_files.netrc(str(path)).hosts.items():
        if host != "default" and host in named:
            lines.append(f"machine {host} login {login} password {password}\n")
    return "".join(lines)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # Texts, numbers, true and false are written alike in both.
    return json.dumps(value)
