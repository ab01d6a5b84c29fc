"""Run the stand-in hub, GitHub and CUDA repository in the background, beside a lab that stays."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from tests.lab.lab import Lab
from tests.lab.process import LabError


def start(lab: Lab, hub_root: Path | None = None, *, cuda: bool = False) -> dict[str, str]:
    """Start them on the lab's network; returns URLs by name: ``hub``, ``github`` and ``cuda``.

    Without ``hub_root`` the hub has the tiny models of ``tests.lab.tiny_model``.
    """
    file = lab.directory / "standins.json"
    root = hub_root.resolve() if hub_root else lab.directory / "hub"
    argv = [sys.executable, "-m", "tests.lab.standins", str(root), lab.host, str(file)]
    lab.start_service("standins", [*argv, "cuda"] if cuda else argv)
    if hub_root is None:
        from tests.lab import tiny_model

        tiny_model.publish(root)
    deadline = time.monotonic() + 20
    while not file.exists():
        if time.monotonic() > deadline:
            said = (lab.directory / "standins.log").read_text()
            raise LabError(f"the stand-ins did not start:\n{said}")
        time.sleep(0.02)
    urls: dict[str, str] = json.loads(file.read_text())
    return urls


def main() -> None:
    """Serve until killed: arguments are the hub's root, an address, the file for the URLs."""
    from tests.lab.github import GitHub
    from tests.lab.http_server import StandIn
    from tests.lab.hub import Hub

    root, bind, file = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    servers: dict[str, StandIn] = {"hub": Hub(root, bind), "github": GitHub(bind=bind)}
    if "cuda" in sys.argv[4:]:
        from tests.lab.nvidia_repository import NvidiaRepository

        servers["cuda"] = NvidiaRepository(bind=bind)
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps({name: server.url for name, server in servers.items()}))
    temporary.rename(file)
    threading.Event().wait()


if __name__ == "__main__":
    main()
