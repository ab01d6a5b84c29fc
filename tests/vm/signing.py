"""Keys of a machine's owner, and kernel modules that are signed with them, as DKMS does."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.kernel_module import SIGNATURE
from tests.lab.process import run
from tests.vm import tools
from tests.vm.qemu import Qemu

# Bytes of what stands between a signature and the words after it; the last four are its length.
_DESCRIBED = 12
# GUID of what shim keeps, which owns the keys that a machine's owner adds.
_OWNER = "605dab50-e046-4300-abb6-3dd810dd8b23"


@dataclass(frozen=True)
class Key:
    """A key and its certificate, which is what firmware is told."""

    private: Path
    certificate: Path


def make_key(folder: Path) -> Key:
    """A key as DKMS makes one."""
    made = Key(folder / "mok.key", folder / "mok.pub")
    how = ["-newkey", "rsa:2048", "-nodes", "-days", "36500", "-outform", "DER"]
    names = ["-keyout", str(made.private), "-out", str(made.certificate)]
    run(["openssl", "req", "-new", "-x509", *how, "-subj", "/CN=DKMS module signing key/", *names])
    return made


def bare(module: bytes) -> bytes:
    """A module without its signature."""
    if not module.endswith(SIGNATURE):
        return module
    end = len(module) - len(SIGNATURE)
    (length,) = struct.unpack(">I", module[end - 4 : end])
    return module[: end - _DESCRIBED - length]


def sign(module: bytes, key: Key, folder: Path) -> bytes:
    """The module, signed with this key and no other."""
    path, signature = folder / "module.ko", folder / "module.p7s"
    path.write_bytes(bare(module))
    # As the kernel's sign-file does: a detached CMS with neither attributes nor certificates.
    how = ["-binary", "-md", "sha512", "-noattr", "-nocerts", "-nosmimecap", "-outform", "DER"]
    certificate = folder / "mok.pem"
    read = ["openssl", "x509", "-inform", "DER", "-in", str(key.certificate)]
    run([*read, "-out", str(certificate)])
    who = ["-signer", str(certificate), "-inkey", str(key.private)]
    run(["openssl", "cms", "-sign", *how, *who, "-in", str(path), "-out", str(signature)])
    made = signature.read_bytes()
    # struct module_signature: a PKCS#7, and how long it is.
    described = struct.pack(">8BI", 0, 0, 2, 0, 0, 0, 0, 0, len(made))
    return bare(module) + made + described + SIGNATURE


def enrol(qemu: Qemu, key: Key) -> None:
    """Have the firmware of a machine that is off know this key, as an owner does at its console."""
    folder = qemu.variables.parent
    # A program in Python, which runs in the tree that has its modules.
    inside = Path(tools.folder()) / "tmp"
    names = {"in": inside / folder.name, "out": inside / f"{folder.name}.new"}
    certificate = inside / f"{folder.name}.pub"
    try:
        names["in"].write_bytes(qemu.variables.read_bytes())
        certificate.write_bytes(key.certificate.read_bytes())
        arguments = ["-i", f"/tmp/{names['in'].name}", "-o", f"/tmp/{names['out'].name}"]
        added = ["--add-mok", _OWNER, f"/tmp/{certificate.name}"]
        subprocess.run(
            ["chroot", str(tools.folder()), "virt-fw-vars", *arguments, *added],
            check=True,
            capture_output=True,
        )
        qemu.variables.write_bytes(names["out"].read_bytes())
    finally:
        for path in (*names.values(), certificate):
            path.unlink(missing_ok=True)
