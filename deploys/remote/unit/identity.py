"""Make what no two units share: host keys, a name, an API key, the gateway's certificate.

It runs before anything of it is used, at each boot, until all of it is there; what a power cut left
is finished, and nothing that is there is made again.
"""

from __future__ import annotations

import grp
import hashlib
import json
import re
import secrets
import socket
import subprocess
from pathlib import Path
from typing import Any

from ..gateway.certificate import accept, request
from ..lib import durable
from . import settings

_HOST_KEY = Path("/etc/ssh/ssh_host_ed25519_key.pub")
_HOSTNAME, _HOSTS = Path("/etc/hostname"), Path("/etc/hosts")
# Days: nobody signs it anew, and who trusts it has seen its fingerprint on the console.
_DAYS = "3650"


def run() -> int:
    """Make what is missing; a unit that has everything is left alone."""
    if settings.IDENTITY.exists():
        return 0
    told = settings.read()
    serial = settings.serial()
    subprocess.run(["ssh-keygen", "-A"], check=True, capture_output=True)
    durable.sync_file_system(_HOST_KEY.parent)
    name = _name(told["name"], serial)
    key = _key()
    if told["gateway"]:
        _gateway(told["gateway"], name, serial, key)
    settings.FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = {"serial": serial, "hostname": name, "host_key": fingerprint()}
    durable.replace(settings.IDENTITY, f"{json.dumps(known, indent=2)}\n".encode(), mode=0o600)
    return 0


def fingerprint() -> str:
    """Return that of the SSH host key, as ssh shows it."""
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(_HOST_KEY)], check=True, capture_output=True, text=True
    )
    return shown.stdout.split()[1]


def _name(series: str, serial: str | None) -> str:
    """Give the unit a host name, and return it; one without a serial number gets one by chance."""
    found = (settings.text_of(_HOSTNAME) or "").strip()
    if found not in ("", "localhost"):
        return found
    of_unit = re.sub(r"[^a-z0-9-]+", "-", (serial or secrets.token_hex(4)).lower()).strip("-")
    name = f"{series.replace('.', '-')[:30]}-{of_unit}"[:63].rstrip("-")
    hosts = f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n"
    durable.replace(_HOSTS, hosts.encode())
    durable.replace(_HOSTNAME, f"{name}\n".encode())
    socket.sethostname(name)
    return name


def _key() -> str:
    found = settings.text_of(settings.KEY)
    if found:
        return found
    key = f"mr-{secrets.token_urlsafe(32)}"
    settings.KEY.parent.mkdir(mode=0o700, exist_ok=True)
    durable.replace(settings.KEY, f"{key}\n".encode(), mode=0o600)
    return key


def _gateway(told: dict[str, Any], name: str, serial: str | None, key: str) -> None:
    """Let the unit's own key in, and have its door vouch for itself."""
    group = grp.getgrnam(told["group"]).gr_gid
    folder, certificate = Path(told["folder"]), Path(told["certificate"])
    digest = hashlib.sha256(key.encode()).hexdigest()
    for file, line in (("keys.map", f"{digest} {told['user']}"), ("teams.map", _team(told))):
        durable.replace(folder / file, f"{line}\n".encode(), mode=0o640, group=group)
    if certificate.exists():
        return
    subject = f"/CN={_plain(name)}" + (f"/serialNumber={_plain(serial)}" if serial else "")
    names = dict.fromkeys((told["host"], name, f"{name}.local", "localhost"))
    alternatives = [_alternative(each) for each in names] + ["IP:127.0.0.1", "IP:::1"]
    named = ("-addext", f"subjectAltName={','.join(alternatives)}")
    # Signed by its own key.
    signed = request(certificate, subject, "-x509", "-days", _DAYS, *named)
    accept(certificate, told["group"], signed)


def _team(told: dict[str, Any]) -> str:
    return f"{told['user']} {told['team']}"


def _plain(text: str) -> str:
    """Return a text without what openssl reads as the end of a name."""
    return re.sub(r"[^A-Za-z0-9 ._-]", "-", text)


def _alternative(name: str) -> str:
    is_address = re.fullmatch(r"[0-9.]+|[0-9a-f:]*:[0-9a-f:]*", name)
    return f"{'IP' if is_address else 'DNS'}:{name}"
