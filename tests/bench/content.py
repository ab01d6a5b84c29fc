"""What every contestant has to bring about, as data: written once, read by all of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NUMBERS = [f"{number:02}" for number in range(1, 31)]
PACKAGES = [
    *("bc", "file", "jq", "less", "lsof"),
    *("psmisc", "rsync", "tree", "unzip", "zip"),
]
USERS = [f"bench{number}" for number in range(1, 6)]
HOME = "/nonexistent"
SHELL = "/usr/sbin/nologin"
FOLDER = "/etc/bench"
UNITS = [f"{user}.service" for user in USERS]
UNIT_FOLDER = "/etc/systemd/system"

# What the templates are rendered with.
SITE = {"name": "bench", "domain": "bench.example", "log_level": "info", "resolvers": 3}
SERVICES: dict[str, dict[str, Any]] = {
    number: {
        "port": 8000 + int(number),
        "workers": 1 + int(number) % 4,
        "tls": int(number) % 2 == 0,
        "peers": [f"node{peer}.bench.example" for peer in range(1, 3 + int(number) % 5)],
    }
    for number in NUMBERS
}

_TEMPLATE = """\
# Managed; changes made here are lost.
[service-NN]
name = {{ site.name }}-NN.{{ site.domain }}
listen = 127.0.0.1:{{ services['NN'].port }}
workers = {{ services['NN'].workers }}
log_level = {{ site.log_level | upper }}
{% if services['NN'].tls %}
certificate = /etc/ssl/{{ site.name }}-NN.pem
{% endif %}
{% for peer in services['NN'].peers %}
peer = {{ peer }}:{{ services['NN'].port }}
{% endfor %}
resolvers = {{ site.resolvers * 2 }}
"""

_UNIT = """\
[Unit]
Description=Service of {user}

[Service]
User={user}
ExecStart=/usr/bin/sleep infinity

[Install]
WantedBy=multi-user.target
"""


def template_path(folder: Path, number: str) -> Path:
    return folder / "templates" / f"{number}.conf.j2"


def unit_text(unit: str) -> str:
    return _UNIT.format(user=unit.removesuffix(".service"))


def write(folder: Path) -> None:
    """The templates, the unit files and the variables that the contestants read."""
    for name in ("templates", "units"):
        (folder / name).mkdir()
    for number in NUMBERS:
        template_path(folder, number).write_text(_TEMPLATE.replace("NN", number))
    for unit in UNITS:
        (folder / "units" / unit).write_text(unit_text(unit))
    variables = {
        "content": str(folder),
        "numbers": NUMBERS,
        "packages": PACKAGES,
        "users": USERS,
        "home": HOME,
        "shell": SHELL,
        "folder": FOLDER,
        "units": UNITS,
        "unit_folder": UNIT_FOLDER,
        "site": SITE,
        "services": SERVICES,
    }
    (folder / "variables.json").write_text(json.dumps(variables))


def proof() -> str:
    """A shell line that prints the state of a machine in every respect that is compared."""
    files = f"{FOLDER}/* " + " ".join(f"{UNIT_FOLDER}/{unit}" for unit in UNITS)
    return "; ".join(
        (
            f"stat -c '%A %U %G %n' {FOLDER} {files}",
            f"sha256sum {files}",
            f"dpkg-query -W -f '${{Package}} ${{db:Status-Status}}\\n' {' '.join(PACKAGES)}",
            f"getent passwd {' '.join(USERS)}",
            f"getent group {' '.join(USERS)}",
            f"systemctl is-active {' '.join(UNITS)}",
            f"systemctl is-enabled {' '.join(UNITS)}",
        )
    )
