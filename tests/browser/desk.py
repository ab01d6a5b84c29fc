"""The machine that a person sits at: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uv

from tests import temporary
from tests.lab import Lab, Machine, tree

# The Playwright of the lock runs on a node that wants libatomic; certutil tells Chromium whom to
# trust; the font has what Chinese is written in.
PACKAGES = ("chromium", "fonts-wqy-microhei", "libatomic1", "libnss3-tools")
PYTHON = "3.11"
_LOCK = Path(__file__).with_name("requirements.txt")
_VISIT = Path(__file__).with_name("visit.py")
_PICTURES = "/root/pictures"


@dataclass(frozen=True)
class Desk:
    """A machine with a browser that knows the page by its name."""

    machine: Machine

    @classmethod
    def beside(cls, lab: Lab, page: Machine, host: str, ca: Path) -> Desk:
        """A further machine of the lab.

        + host: what `page` is called
        + ca: whom the browser is to trust
        """
        (machine,) = lab.add("desk", layer=tree.base(more=PACKAGES))
        machine.ssh(f"echo {page.address} {host} >> /etc/hosts")
        machine.ssh("cat > /root/ca.pem", stdin=ca.read_text())
        machine.ssh(f"mkdir -p {_PICTURES} /root/.pki/nssdb")
        machine.ssh("certutil -d sql:/root/.pki/nssdb -N --empty-password")
        machine.ssh("certutil -d sql:/root/.pki/nssdb -A -t C,, -n site -i /root/ca.pem")
        return cls(machine)

    def visit(self, pictures: Path, visit: Path = _VISIT, **wanted: Any) -> dict[str, Any]:
        """What visit.py saw; its pictures are there then, also of a visit that came to no end.

        + visit: another program that visits something else
        """
        program = ["env", "PYTHONPATH=/opt/playwright", "python3", "-c", visit.read_text()]
        asked = json.dumps({**wanted, "pictures": _PICTURES})
        done = self.machine.ssh(program, stdin=asked, timeout=600, check=False)
        pictures.mkdir(parents=True, exist_ok=True)
        pack = [*self.machine.ssh_command(), f"tar -C {_PICTURES} -cf - ."]
        packed = subprocess.run(pack, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-xf", "-", "-C", pictures], input=packed.stdout, check=True)
        assert done.returncode == 0, done.stderr
        seen: dict[str, Any] = json.loads(done.stdout)
        return seen


def playwright() -> Path:
    """The folder of the locked Playwright, for the Python of the machine; made once."""
    digest = hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]
    folder = tree.cache_root().parent / "playwright" / digest
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        with temporary.folder(f".{digest}-", folder.parent) as arriving:
            arriving.chmod(0o755)
            command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--require-hashes"]
            command += ["--python-version", PYTHON, "--target", arriving / "made", "-r", _LOCK]
            subprocess.run(command, check=True)
            (arriving / "made").rename(folder)
    return folder
