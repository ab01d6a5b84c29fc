"""An ACME authority on a machine of a lab: Pebble, which Let's Encrypt has clients tested with.

It asks the names that it is to certify by HTTP, as the real one does, and rejects some good nonces,
so that a client has to try again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.lab.machine import Machine

_FOLDER = "/etc/pebble"
_INSTALL = f"""\
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends pebble >/dev/null
mkdir -p {_FOLDER}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=pebble \\
    -addext subjectAltName=IP:ADDRESS -keyout {_FOLDER}/key.pem -out {_FOLDER}/cert.pem 2>/dev/null
"""
_START = f"""\
set -eu
cat > {_FOLDER}/config.json
systemctl stop pebble 2>/dev/null || true
systemd-run --quiet --unit=pebble -E PEBBLE_VA_NOSLEEP=1 -E PEBBLE_WFE_NONCEREJECT=15 \\
    pebble -config {_FOLDER}/config.json
until curl -sfo /dev/null --cacert {_FOLDER}/cert.pem URL; do sleep 0.1; done
"""


@dataclass(frozen=True)
class Pebble:
    """The authority of one machine."""

    machine: Machine

    @classmethod
    def on(cls, machine: Machine, **names: str) -> Pebble:
        """Install it; it does not answer yet.

        + names: addresses by name, with an underscore for a dot, which it is to find
        """
        lines = "".join(f"{address} {name.replace('_', '.')}\n" for name, address in names.items())
        machine.ssh("cat >> /etc/hosts", stdin=lines)
        machine.ssh("sh", stdin=_INSTALL.replace("ADDRESS", machine.address), timeout=300)
        return cls(machine)

    @property
    def directory(self) -> str:
        return f"https://{self.machine.address}:14000/dir"

    def start(self, seconds: int) -> str:
        """Answer from now on, with new authorities: return their certificates, and its own.

        + seconds: how long certificates are good
        """
        config = {
            "listenAddress": "0.0.0.0:14000",
            "managementListenAddress": "0.0.0.0:15000",
            "certificate": f"{_FOLDER}/cert.pem",
            "privateKey": f"{_FOLDER}/key.pem",
            "httpPort": 80,
            "tlsPort": 443,
            "certificateValidityPeriod": seconds,
        }
        text = json.dumps({"pebble": config})
        self.machine.ssh(["sh", "-c", _START.replace("URL", self.directory)], stdin=text)
        roots = f"https://{self.machine.address}:15000/roots/0"
        asked = f"curl -sf --cacert {_FOLDER}/cert.pem {roots}; cat {_FOLDER}/cert.pem"
        return self.machine.ssh(asked).stdout

    def stop(self) -> None:
        """Answer nobody."""
        self.machine.ssh("systemctl stop pebble")
