"""Building blocks of the driver's packages, alike whoever builds them."""

from __future__ import annotations

from pathlib import Path

from tests.lab.debian_package import Package
from tests.lab.kernel_module import module

Files = dict[str, str | bytes]

LIB = "usr/lib/x86_64-linux-gnu"
UNITS = "lib/systemd/system"
GRAPHICS = "nvidia-graphics-drivers"
RELOAD = "if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi\n"
_PROGRAMS = Path(__file__).parent / "scripted"
_PERSISTENCED = """\
[Unit]
Description=NVIDIA Persistence Daemon

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/nvidia-persistenced
ExecStop=/bin/rm -f /run/lab-hardware/persistence

[Install]
WantedBy=multi-user.target
"""
_FABRIC_MANAGER = """\
[Unit]
Description=NVIDIA fabric manager service
After=network-online.target

[Service]
Type=forking
RuntimeDirectory=nvidia-fabricmanager
PIDFile=/run/nvidia-fabricmanager/nv-fabricmanager.pid
ExecStart=/usr/bin/nv-fabricmanager
LimitCORE=infinity

[Install]
WantedBy=multi-user.target
"""


def pinning(name: str, version: str, pin: str) -> Package:
    text = (
        "Package: src:*nvidia*:any src:cuda-drivers:any src:cuda-compat:any\n"
        f"Pin: version {pin}\nPin-Priority: 1000\n"
    )
    one = "nvidia-driver-pinning"
    return Package(
        name=f"{one}-{name}",
        version=version,
        architecture="all",
        fields={"Provides": one, "Conflicts": one, "Replaces": one},
        files={"etc/apt/preferences.d/nvidia-driver-pinning": text},
    )


def program(name: str, version: str = "") -> str:
    text = (_PROGRAMS / f"{name}.py").read_text().replace("@VERSION@", version)
    return f"#!/usr/bin/python3\n{text}"


def library(version: str, *names: str) -> tuple[Files, dict[str, str]]:
    """Files and links of shared libraries whose file name is their version."""
    files: Files = {f"{LIB}/lib{name}.so.{version}": b"\x7fELF" for name in names}
    links = {f"{LIB}/lib{name}.so.1": f"lib{name}.so.{version}" for name in names}
    return files, links


def smi() -> Files:
    return {"usr/bin/nvidia-smi": program("nvidia_smi")}


def persistenced() -> Files:
    check = "test -e /proc/driver/nvidia/version || { echo 'Failed to query NVIDIA devices.' >&2;"
    return {
        "usr/bin/nvidia-persistenced": f"#!/bin/sh\n{check} exit 1; }}\n"
        "touch /run/lab-hardware/persistence\n",
        f"{UNITS}/nvidia-persistenced.service": _PERSISTENCED,
    }


def modprobe() -> Files:
    return {"usr/bin/nvidia-modprobe": "#!/bin/sh\nexec /usr/sbin/modprobe nvidia\n"}


def fabric_manager(name: str, version: str, full: str, **fields: str) -> Package:
    return Package(
        name=name,
        version=full,
        fields=fields,
        files={
            "usr/bin/nv-fabricmanager": program("fabric_manager", version),
            f"{UNITS}/nvidia-fabricmanager.service": _FABRIC_MANAGER,
        },
        scripts={"postinst": RELOAD},
    )


def source(name: str, version: str, full: str, license: str, others: str) -> Package:
    """What DKMS compiles: here the finished module."""
    built = module(version=version, license=license, vermagic="lab")
    return Package(
        name=name,
        version=full,
        fields={"Source": GRAPHICS, "Conflicts": others, "Replaces": others},
        files={
            f"usr/src/nvidia-{version}/nvidia.ko": built,
            f"usr/src/nvidia-{version}/dkms.conf": f'PACKAGE_VERSION="{version}"\n',
        },
    )


def dkms_package(name: str, version: str, full: str, depends: str, others: str) -> Package:
    return Package(
        name=name,
        version=full,
        fields={
            "Source": GRAPHICS,
            "Depends": f"dkms, {depends}",
            "Provides": "nvidia-kernel-dkms-any",
            "Conflicts": f"nvidia-kernel-dkms-any, {others}",
            "Replaces": others,
        },
        files={f"usr/share/doc/{name}/copyright": "see the lab\n"},
        scripts={
            "postinst": f"dkms postinst nvidia {version}\n",
            "prerm": f"dkms remove -m nvidia -v {version} --all || true\n",
        },
    )
