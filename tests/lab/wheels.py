"""A package index (PEP 503) and a flat page of links, with wheels that are made on the spot."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

from tests.lab.http_server import Reply, StandIn, json_reply


class WheelPages(StandIn):
    """`<url>/<project>/` has the links of a project, `<url>/` those of all; root has the files."""

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        name = path.strip("/").rpartition("/")[2]
        if name.endswith(".whl"):
            file = self.root / name
            return Reply(name, file=file) if file.is_file() else json_reply({}, 404, name)
        prefix = name.replace("-", "_")
        found = sorted(file.name for file in self.root.glob(f"{prefix}*.whl"))
        if not found:
            return json_reply({"error": f"no {name}"}, 404, name)
        links = "".join(f'<a href="{file}">{file}</a>\n' for file in found)
        page = f"<!DOCTYPE html><html><body>\n{links}</body></html>\n".encode()
        return Reply(name, body=page, headers={"Content-Type": "text/html"})


def publish(root: Path, module: str) -> str:
    """Make a wheel with one empty module; its line in a lock with hashes."""
    root.mkdir(parents=True, exist_ok=True)
    info = f"{module}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {module.replace('_', '-')}\nVersion: 1.0\n"
    tag = "Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    contents = {f"{module}.py": "", f"{info}/METADATA": metadata, f"{info}/WHEEL": tag}
    record = "".join(
        f"{name},sha256={_digest(text.encode())},{len(text.encode())}\n"
        for name, text in contents.items()
    )
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    wheel = root / f"{module}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{module.replace('_', '-')}==1.0 --hash=sha256:{sha256}\n"


def _digest(content: bytes) -> str:
    digest = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
