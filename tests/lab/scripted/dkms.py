"""dkms of a lab machine: "compiles" by taking the module that the source package carries.

    dkms add|build|install|remove|status [-m NAME] [-v VERSION] [-k KERNEL]
    dkms autoinstall [-k KERNEL]      every module that was added, for this kernel
    dkms postinst NAME VERSION        what a dkms package's postinst does (common.postinst)

Kernels without headers are refused by `build` and skipped by `postinst`, as in Debian's dkms; the
status and the log lie where the real ones lie. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

TREE = Path("/var/lib/dkms")
HARDWARE = Path("/lab/hardware/machine.json")
NO_HEADERS = (
    "Error! Your kernel headers for kernel {kernel} cannot be found at"
    " /lib/modules/{kernel}/build or /lib/modules/{kernel}/source.\n"
    "Please install the linux-headers-{kernel} package or use the --kernelsourcedir option to"
    " tell DKMS where it's located."
)
SKIPPED = (
    "Module build for kernel {kernel} was skipped since the\n"
    "kernel headers for this kernel do not seem to be installed."
)


def main() -> int:
    if sys.argv[1:2] == ["postinst"]:
        return postinst(sys.argv[2], sys.argv[3])
    parser = argparse.ArgumentParser(prog="dkms")
    parser.add_argument("verb")
    parser.add_argument("-m")
    parser.add_argument("-v")
    parser.add_argument("-k", default=os.uname().release)
    parser.add_argument("--all", action="store_true")
    options, _ = parser.parse_known_args()
    name, _, version = (options.m or "").partition("/")
    version = version or options.v or ""
    if options.verb == "status":
        return status(name)
    if options.verb == "autoinstall":
        codes = [_make(*module, options.k) for module in _added()]
        return max(codes, default=0)
    if options.verb == "add":
        (TREE / name / version).mkdir(parents=True, exist_ok=True)
        return 0
    if options.verb == "remove":
        return remove(name, version)
    return _make(name, version, options.k)


def postinst(name: str, version: str) -> int:
    """Build for the running and for the newest kernel."""
    print(f"Loading new {name}-{version} DKMS files...")
    (TREE / name / version).mkdir(parents=True, exist_ok=True)
    installed = sorted((path.name for path in Path("/lib/modules").glob("*")), key=_order)
    for kernel in dict.fromkeys([os.uname().release, *installed[-1:]]):
        if not _headers(kernel).exists():
            print(SKIPPED.format(kernel=kernel))
        elif code := _make(name, version, kernel):
            return code
    return 0


def status(name: str) -> int:
    for module, version in _added():
        if name not in ("", module):
            continue
        kernels = [path.parent.parent.name for path in (TREE / module / version).glob("*/*/module")]
        lines = [f"{module}/{version}, {kernel}, x86_64: installed" for kernel in sorted(kernels)]
        print("\n".join(lines or [f"{module}/{version}: added"]))
    return 0


def remove(name: str, version: str) -> int:
    for built in (TREE / name / version).glob("*/x86_64"):
        kernel = built.parent.name
        shutil.rmtree(Path("/lib/modules", kernel, "updates/dkms"), ignore_errors=True)
    shutil.rmtree(TREE / name / version, ignore_errors=True)
    return 0


def _make(name: str, version: str, kernel: str) -> int:
    """Build and install one module for one kernel."""
    if not _headers(kernel).exists():
        print(NO_HEADERS.format(kernel=kernel), file=sys.stderr)
        return 21
    work = TREE / name / version / "build"
    work.mkdir(parents=True, exist_ok=True)
    log = f"DKMS make.log for {name}-{version} for kernel {kernel} (x86_64)\n"
    print("Building module:\nCleaning build area...")
    if HARDWARE.exists():
        time.sleep(json.loads(HARDWARE.read_text())["dkms_seconds"])
    if "$(error" in (_headers(kernel) / "Makefile").read_text():
        log += f"make: Entering directory '{_headers(kernel)}'\n"
        log += "Makefile:1: *** these headers are broken.  Stop.\n"
        (work / "make.log").write_text(log)
        print(
            f"Error! Bad return status for module build on kernel: {kernel} (x86_64)\n"
            f"Consult {work}/make.log for more information.",
            file=sys.stderr,
        )
        return 10
    built = TREE / name / version / kernel / "x86_64"
    for folder in (built / "module", built / "log"):
        folder.mkdir(parents=True, exist_ok=True)
    (built / "log/make.log").write_text(log)
    target = Path("/lib/modules", kernel, "updates/dkms")
    target.mkdir(parents=True, exist_ok=True)
    for module in Path(f"/usr/src/{name}-{version}").glob("*.ko"):
        shutil.copy(module, built / "module" / module.name)
        shutil.copy(module, target / module.name)
        print(f"{module.name}:\n - Installation\n   - Installing to {target}/")
    print("depmod...")
    return 0


def _added() -> list[tuple[str, str]]:
    return sorted((path.parent.name, path.name) for path in TREE.glob("*/*") if path.is_dir())


def _headers(kernel: str) -> Path:
    return Path("/lib/modules", kernel, "build")


def _order(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]


if __name__ == "__main__":
    raise SystemExit(main())
