"""The packages of NVIDIA's repository, of the distribution's archive and their dependencies.

Small, but real packages: names, versions and dependencies as NVIDIA and Canonical write them, so
that apt decides as it would there. Branch 580 is the last with suffixed names on Ubuntu. The
driver's packages do not turn nouveau off: that is left to whoever installs them.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.lab.debian_package import Package
from tests.lab.nvidia_parts import (
    GRAPHICS,
    RELOAD,
    UNITS,
    Files,
    dkms_package,
    fabric_manager,
    library,
    modprobe,
    persistenced,
    pinning,
    smi,
    source,
)

OLD, DRIVER, NEWER = "580.159.04", "580.178.04", "595.91.07"
VERSIONS = (OLD, DRIVER, NEWER)
_DCGM = """\
[Unit]
Description=NVIDIA DCGM service

[Service]
ExecStart=/bin/sleep infinity

[Install]
WantedBy=multi-user.target
"""


def nvidia(system: str) -> Iterator[Package]:
    """What NVIDIA's repository has for "ubuntu2204", "debian12" and so on."""
    ubuntu = system.startswith("ubuntu")
    for version in VERSIONS:
        revision = "1ubuntu1" if ubuntu else "1"
        full = f"{version}-{revision}"
        if ubuntu:
            suffix = f"-{version[:3]}" if version < "590" else ""
            yield from _ubuntu_driver(version, full, suffix)
        else:
            yield from _debian_driver(version, full)
        yield from _both(version, full)
        yield pinning(version, f"{version}-{revision}", f"{version}*")
    for branch, full in (("580", "580-5"), ("595", "595-2")):
        yield pinning(branch, f"{full}ubuntu1" if ubuntu else full, f"{branch}.*")
    yield Package(name="nvlsm", version="2025.10.14-1", files={"opt/nvidia/nvlsm/sbin/nvlsm": ""})
    if system == "debian13":
        # The real one begins later, and has no DCGM as far as seen.
        yield from _toolkit("13-1", "13.1.1-1")
        return
    yield from _toolkit("13-0", "13.0.2-1")
    yield from _toolkit("12-9", "12.9.1-1")
    yield from _dcgm()


def _ubuntu_driver(version: str, full: str, suffix: str) -> Iterator[Package]:
    # What has the same files: the other branch by its suffixed names, or by those without.
    other = "" if suffix else "-580"

    def package(
        name: str,
        depends: str = "",
        provides: str = "",
        files: Files | None = None,
        links: dict[str, str] | None = None,
    ) -> Package:
        rival = f"{name}{other}"
        fields = {"Source": f"{GRAPHICS}{suffix}", "Depends": depends, "Provides": provides}
        fields |= {"Conflicts": rival, "Replaces": rival}
        contents = files or {f"usr/share/doc/{name}{suffix}/copyright": "see the lab\n"}
        name = f"{name}{suffix}"
        return Package(name=name, version=full, fields=fields, files=contents, links=links or {})

    common = f"nvidia-kernel-common{suffix}"
    sources = [f"nvidia-kernel-source{suffix}-open", f"nvidia-kernel-source{suffix}"]
    licenses = ["Dual MIT/GPL", "NVIDIA"]
    for mine, rival, license in zip(sources, reversed(sources), licenses, strict=True):
        others = ", ".join([rival, mine.replace(suffix, "", 1) if suffix else f"{mine}-580"])
        yield source(mine, version, full, license, others)
        name = mine.replace("kernel-source", "dkms")
        depends = f"{mine} (= {full}), {common} (= {full})"
        rivals = f"nvidia-dkms{other}, nvidia-dkms{other}-open"
        yield dkms_package(name, version, full, depends, rivals)
    firmware = {f"lib/firmware/nvidia/{version}/gsp_ga10x.bin": b"gsp"}
    yield package("nvidia-firmware", files=dict(firmware))
    yield package(
        "nvidia-kernel-common",
        f"nvidia-firmware{suffix} (= {full}), nvidia-modprobe (>= {version})",
        f"nvidia-kernel-common{suffix or '-' + version[:3]}-{version}",
    )
    for name in ("libnvidia-gpucomp", "libnvidia-decode", "libnvidia-cfg1"):
        files, links = library(version, name.removeprefix("lib"))
        yield package(name, files=files, links=links)
    files, links = library(version, "cuda", "nvidia-ml")
    yield package(
        "libnvidia-compute",
        f"libnvidia-gpucomp{suffix} (= {full}), libnvidia-decode{suffix} (>= {version}),"
        f" nvidia-persistenced (>= {version}),"
        f" nvidia-kernel-common{suffix or '-' + version[:3]}-{version}",
        "" if not suffix else "libnvidia-compute",
        files,
        links,
    )
    yield package("nvidia-utils", f"libnvidia-compute{suffix}", files=smi())
    # Built separately and never suffixed: only a pin keeps them at the driver's branch.
    for name, files in (("nvidia-modprobe", modprobe()), ("nvidia-persistenced", persistenced())):
        yield Package(name=name, version=full, files=files, scripts={"postinst": RELOAD})


def _debian_driver(version: str, full: str) -> Iterator[Package]:
    same = f"(= {full})"

    def package(
        name: str,
        depends: str = "",
        files: Files | None = None,
        links: dict[str, str] | None = None,
    ) -> Package:
        contents = files or {f"usr/share/doc/{name}/copyright": "see the lab\n"}
        fields = {"Source": GRAPHICS, "Depends": depends}
        return Package(name=name, version=full, fields=fields, files=contents, links=links or {})

    modules = {"nvidia-kernel-open-dkms": "Dual MIT/GPL", "nvidia-kernel-dkms": "NVIDIA"}
    names = list(modules)
    for (name, license), rival in zip(modules.items(), reversed(names), strict=True):
        code = source(f"{name}-source", version, full, license, f"{rival}-source")
        depends = f"nvidia-kernel-support {same}, firmware-nvidia-gsp {same}"
        dkms = dkms_package(name, version, full, depends, rival)
        yield Package(**{**vars(dkms), "files": code.files})
    firmware = {f"lib/firmware/nvidia/{version}/gsp_ga10x.bin": b"gsp"}
    yield package("firmware-nvidia-gsp", files=dict(firmware))
    yield package("nvidia-kernel-support")
    yield package("nvidia-modprobe", files=modprobe())
    yield package("nvidia-persistenced", files=persistenced())
    for name, soname in (("libcuda1", "cuda"), ("libnvidia-ml1", "nvidia-ml")):
        files, links = library(version, soname)
        yield package(name, files=files, links=links)
    yield package("nvidia-smi", f"libnvidia-ml1 {same}", smi())
    parts = "libcuda1 libnvidia-ml1 nvidia-smi nvidia-persistenced nvidia-modprobe"
    parts += " firmware-nvidia-gsp nvidia-kernel-support"
    yield package("nvidia-driver-cuda", ", ".join(f"{part} {same}" for part in parts.split()))


def _both(version: str, full: str) -> Iterator[Package]:
    """What NVSwitch machines have, at the driver's version."""
    branch = version[:3]
    yield fabric_manager(
        "nvidia-fabricmanager", version, full, Provides=f"nvidia-fabricmanager-{branch}"
    )
    for name in ("libnvidia-nscq", "libnvsdm"):
        files, links = library(version, name.removeprefix("lib"))
        yield Package(name=name, version=full, files=files, links=links)
    yield Package(name="nvidia-imex", version=full, files={"usr/bin/nvidia-imex": "#!/bin/sh\n"})


def _toolkit(name: str, version: str) -> Iterator[Package]:
    release = name.replace("-", ".")
    full = version.partition("-")[0]
    text = f"Cuda compilation tools, release {release}, V{full}"
    nvcc = f"#!/bin/sh\necho 'nvcc: NVIDIA (R) Cuda compiler driver'\necho '{text}'\n"
    compiler = {f"usr/local/cuda-{release}/bin/nvcc": nvcc}
    yield Package(name=f"cuda-minimal-build-{name}", version=version, files=compiler)
    dump = {f"usr/local/cuda-{release}/bin/cuobjdump": "#!/bin/sh\n"}
    yield Package(name=f"cuda-cuobjdump-{name}", version=version, files=dump)
    folder = f"usr/local/cuda-{release}/targets/x86_64-linux/lib"
    for package, soname in {"cuda-cudart": "libcudart", "libcublas": "libcublas"}.items():
        files = {f"{folder}/{soname}.so.{release.partition('.')[0]}": ""}
        yield Package(name=f"{package}-{name}", version=version, files=files)
    depends = {"Depends": f"libcublas-{name} (= {version})"}
    headers = f"usr/local/cuda-{release}/targets/x86_64-linux/include"
    header = {f"{headers}/cublas_v2.h": ""}
    yield Package(name=f"libcublas-dev-{name}", version=version, fields=depends, files=header)
    for package, file in {"cuda-nvrtc-dev": "nvrtc.h", "libcurand-dev": "curand.h"}.items():
        yield Package(name=f"{package}-{name}", version=version, files={f"{headers}/{file}": ""})


def _dcgm() -> Iterator[Package]:
    core, version = "datacenter-gpu-manager-4-core", "1:4.5.2-1"
    unit = {f"{UNITS}/nvidia-dcgm.service": _DCGM}
    yield Package(name=core, version=version, files=dict(unit), scripts={"postinst": RELOAD})
    for major in ("12", "13"):
        yield Package(
            name=f"datacenter-gpu-manager-4-cuda{major}",
            version=version,
            fields={"Depends": f"{core} (= {version})"},
            files={f"usr/share/doc/datacenter-gpu-manager-4-cuda{major}/copyright": "lab\n"},
        )
