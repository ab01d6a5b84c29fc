"""How apt of this computer reaches archives; trees that are made here reach them likewise."""

from __future__ import annotations

import subprocess

# Of this computer's settings of apt those by which it reaches archives.
_WAY = (
    *("::Proxy", "::Check-Valid-Until", "::Check-Date", "::Verify-Peer", "::Verify-Host"),
    *("::CaInfo", "::CaPath", "::SslCert", "::SslKey"),
)


def settings(*, pinned: bool = False) -> list[str]:
    """Return how apt reaches archives from this computer, as its configuration has it.

    + pinned: it is known which packages come of them, so archives of another day will do
    """
    told = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False)
    lines = [line.rstrip(";") for line in told.stdout.splitlines()]
    # "Auto-Detect" names a program, which a tree does not have.
    found = [
        line
        for line in lines
        if line.startswith("Acquire::")
        and any(part in line for part in _WAY)
        and "Auto-Detect" not in line
    ]
    return [*found, 'Acquire::Check-Valid-Until "false"'] if pinned else found
