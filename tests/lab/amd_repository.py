"""A stand-in for AMD's repositories: signed, with packages whose module and tool the lab loads."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from tests.lab.debian_package import Key, Package, build, throw_away_key
from tests.lab.process import run

MODULE = "6.16.13"
_BUILD = "30300300-2327507.22.04"
# What amd-smi prints of every card, once the module is loaded.
_SMI = """\
#!/usr/bin/python3
import json, pathlib, sys
boards = json.loads(pathlib.Path("/lab/hardware/machine.json").read_text())["boards"]
if not pathlib.Path("/sys/module/amdgpu").is_dir():
    sys.exit("amdgpu is not loaded")
print(json.dumps([
    {"gpu": number, "asic": {"market_name": board["name"]}, "bus": {"bdf": board["address"]}}
    for number, board in enumerate(boards)
] if sys.argv[1] == "static" else []))
"""


def repositories(root: Path) -> str:
    """Driver and tools below `root`, as below the vendor's address; sha256 of the key there."""
    release = os.uname().release
    driver = (
        Package(
            name="amdgpu-dkms",
            version=f"1:{MODULE}.{_BUILD}",
            architecture="all",
            fields={"Depends": "amdgpu-dkms-firmware"},
            files={
                f"usr/lib/modules/{release}/updates/dkms/amdgpu.ko": f"\0version={MODULE}\0",
            },
        ),
        Package(name="amdgpu-dkms-firmware", version=f"30.30.3.0.{_BUILD}", architecture="all"),
    )
    tools = (
        Package(name="amd-smi-lib", version="26.2.2", files={"opt/rocm/bin/amd-smi": _SMI}),
        Package(name="rocminfo", version="1.0.0.70203-90~22.04"),
    )
    with throw_away_key("repo.radeon.com (lab)") as key:
        for packages, place in ((driver, "amdgpu/30.30.3/ubuntu"), (tools, "rocm/apt/7.2.3")):
            publish(root / place, packages, "repo.radeon.com", root / "packages", key)
        text = armoured(key)
    (root / "rocm/rocm.gpg.key").write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def publish(
    place: Path, packages: tuple[Package, ...], origin: str, shared: Path, key: Key
) -> None:
    """One repository with a suite, signed; what is built is kept in `shared`."""
    place.mkdir(parents=True)
    build(packages, place / "pool", shared)
    stanzas = []
    for package in packages:
        content = (place / "pool" / package.filename).read_bytes()
        stanzas.append(
            f"{package.control}Filename: pool/{package.filename}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n"
        )
    index = place / "dists/jammy/main/binary-amd64/Packages"
    index.parent.mkdir(parents=True)
    index.write_text("\n".join(stanzas))
    release, content = place / "dists/jammy/Release", index.read_bytes()
    release.write_text(
        f"Origin: {origin}\nSuite: jammy\nCodename: jammy\nComponents: main\nArchitectures: amd64\n"
        f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S UTC', time.gmtime())}\nSHA256:\n"
        f" {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/Packages\n"
    )
    key.sign(release)


def armoured(key: Key) -> str:
    """The public key as a text, which is how AMD publishes its own."""
    return run(["gpg", "--homedir", str(key.home), "--batch", "--armor", "--export"])
