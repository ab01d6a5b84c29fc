"""What a host needs before it can run a lab."""

from __future__ import annotations

import os
import shutil
import sys

NEEDED = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "ip": "iproute2",
    "nft": "nftables",
    "dpkg-deb": "dpkg",
    "gpg": "gnupg",
    "zstd": "zstd",
}


def missing() -> list[str]:
    """Why no lab can run here, as sentences; empty when one can."""
    reasons = []
    if sys.platform != "linux":
        return ["disposable machines need Linux"]
    if os.geteuid() != 0:
        reasons.append("disposable machines need root (run with sudo)")
    packages = sorted({package for name, package in NEEDED.items() if not shutil.which(name)})
    if packages:
        reasons.append(f"missing packages: apt-get install {' '.join(packages)}")
    return reasons
