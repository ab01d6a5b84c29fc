"""Have this machine follow another bundle, from a disk that is mounted here.

    python3 /opt/modelrack/bin/modelrack.pyz update NAME /mnt/bundle

The bundle has appliance/NAME: the project, and what it needs of Python (control/bundle/appliance).
Its signature must be one of SIGNERS. Then the project goes into a folder of its own below
/opt/modelrack/appliance, and deploys to this machine: a version that does not answer is taken back
by that deploy. `current` leads to the project that was deployed last without a failure.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from ..formats import archive
from ..lib.content import sha256_of
from ..lib.durable import rename, replace, sync_file_system
from ..lib.failure import Failure
from ..lib.lock import Taken, held
from ..services import questions
from ..services.model_server import ModelServer, RequestFailed

FOLDER = Path("/opt/modelrack/appliance")
SIGNERS = Path("/etc/modelrack/signers")
_NOTES = Path("/var/lib/modelrack/engines")
_NAMESPACE = "modelrack-bundle"


def run(name: str, bundle: Path, signers: Path) -> int:
    """Update this machine; return 0 if it is deployed as the bundle has it, otherwise 1."""
    if os.geteuid() != 0:
        raise Failure("only root can update this machine: type sudo before the command")
    bundle = bundle.absolute()
    source = bundle / "appliance" / name
    if not (source / "modelrack.tar").is_file():
        raise Failure(f"{bundle} has nothing for {name}: mount the bundle that was made for it")
    try:
        with held(FOLDER / "lock"):
            taken = FOLDER / ".taken"
            shutil.rmtree(taken, ignore_errors=True)
            _take(bundle, f"appliance/{name}/", signers, taken)
            folder = _project(name, taken, bundle)
            shutil.rmtree(taken)
            return _deploy(name, bundle, folder)
    except Taken:
        raise Failure("this machine is being updated already: wait for that to end") from None


def _take(bundle: Path, part: str, signers: Path, to: Path) -> None:
    """Copy a part of the bundle; raise Failure unless it is as somebody whom we know has signed it.

    The copy is what was checked: a disk may give something else when it is read again. Packages,
    weights and all else are compared with what is pinned in that part as they are used.
    """
    manifest, signature = bundle / "MANIFEST", bundle / "MANIFEST.sig"
    for needed in (manifest, signature, signers):
        if not needed.is_file():
            raise Failure(f"there is no {needed}: nothing is taken from a bundle without it")
    found = _keygen("find-principals", "-s", str(signature), "-f", str(signers))
    who = found.stdout.partition("\n")[0]
    verify = ("verify", "-f", str(signers), "-I", who, "-n", _NAMESPACE, "-s", str(signature))
    text = manifest.read_text()
    if found.returncode or not who or _keygen(*verify, content=text).returncode:
        raise Failure(f"{bundle} was signed by nobody in {signers}: have it sent again")
    lines = (line.partition("  ./") for line in text.splitlines())
    sealed = {path: digest for digest, _, path in lines if path.startswith(part)}
    there = {f"{part}{path.name}" for path in (bundle / part).iterdir()}
    for path in sorted({*sealed} | there):
        file, copy = bundle / path, to / path.removeprefix(part)
        if path in sealed and file.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        if path not in sealed or not copy.is_file() or sha256_of(copy) != sealed[path]:
            raise Failure(f"{path} is not what was signed: copy the bundle again")


def _project(name: str, source: Path, bundle: Path) -> Path:
    """Return the folder of the project, with its environment; it is whole or it is not there."""
    digest = sha256_of(source / "modelrack.tar")[:12]
    folder = FOLDER / f"{name}-{digest}"
    if not folder.exists():
        arriving = FOLDER / f".{folder.name}.arriving"
        shutil.rmtree(arriving, ignore_errors=True)
        arriving.mkdir(parents=True, mode=0o700)
        archive.unpack(source / "modelrack.tar", arriving, 0)
        sync_file_system(arriving)
        arriving.rename(folder)
    replace(folder / "place", f"{bundle}\n".encode())
    _environment(folder, source / "requirements.txt", bundle / "pypi/files")
    return folder


def _environment(folder: Path, lock: Path, wheels: Path) -> None:
    """Have the project's Python packages, from the bundle alone."""
    stamp = folder / ".venv/complete"
    if stamp.exists():
        return
    uv = folder / "uv"
    _unpack_uv(lock.read_text(), wheels, uv)
    home = folder / ".venv"
    python = home / "bin/python"
    for words in (
        [str(uv), "venv", "--clear", "--offline", "--python", sys.executable, str(home)],
        [
            *(str(uv), "pip", "sync", "--offline", "--no-index", "--find-links", str(wheels)),
            *("--no-cache", "--require-hashes", "--python", str(python), str(lock)),
        ],
    ):
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise Failure(f"{' '.join(words[:3])} failed: {done.stderr.strip()}")
    # Else a power cut could leave the stamp, and not the packages.
    sync_file_system(folder)
    stamp.touch()


def _unpack_uv(lock: str, wheels: Path, to: Path) -> None:
    """Write uv, as the lock has it pinned; what it installs it compares with the lock itself."""
    lines = lock.replace("\\\n", "").splitlines()
    pinned = next((line for line in lines if line.startswith("uv==")), "")
    version = pinned.partition("==")[2].split(" ")[0]
    wheel = next(iter(wheels.glob(f"uv-{version}-*x86_64*.whl")), None)
    if not version or wheel is None:
        raise Failure(f"{wheels} has no uv, which installs the rest: have the bundle made again")
    content = wheel.read_bytes()
    if f"sha256:{hashlib.sha256(content).hexdigest()}" not in pinned.replace("--hash=", "").split():
        raise Failure(f"{wheel} is not what was pinned: copy the bundle again")
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        to.write_bytes(packed.read(f"uv-{version}.data/scripts/uv"))
    to.chmod(0o755)


def _deploy(name: str, bundle: Path, folder: Path) -> int:
    python, inventory = folder / ".venv/bin/python", f"inventories/{name}.py"
    command = [str(python), "-m", "pyinfra", inventory, "deploys/full.py", "-y"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYINFRA_PROGRESS": "off"}
    done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        link = FOLDER / ".current.new"
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
        rename(link, FOLDER / "current")
        _remove_others(name, folder)
        print(f"this machine is as {bundle} has it")
        return 0
    for line in serving():
        print(line, file=sys.stderr)
    print(f"the update from {bundle} failed, see above", file=sys.stderr)
    return 1


def serving() -> list[str]:
    """Return a line for each service that has served here: what of it answers now."""
    lines = []
    for path in sorted(_NOTES.glob("*/serving.json")):
        note: dict[str, Any] = json.loads(path.read_text())
        version = f"{note['engine']} {Path(note['directory']).name}"
        for each in note["services"]:
            wrong = _wrong(each)
            lines.append(
                f"{each['name']} does not answer: {wrong}"
                if wrong
                else f"{each['name']} answers, as before the update, with {version}"
            )
    return lines


def _wrong(service: dict[str, Any]) -> str | None:
    server = ModelServer(service["url"])
    try:
        if service["model"] is None:
            server.greet()
            return None
        task = service.get("task", "generate")
        return questions.wrong(server, task, service["model"], service.get("vector"))
    except (RequestFailed, KeyError, IndexError, TypeError) as error:
        return str(error)
    finally:
        server.close()


def _remove_others(name: str, folder: Path) -> None:
    """Remove the projects of older bundles but the last: what can be gone back to has its own."""
    others = [path for path in FOLDER.glob(f"{name}-*") if path != folder]
    for path in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
        shutil.rmtree(path)


def _keygen(*words: str, content: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ssh-keygen", "-Y", *words], input=content, capture_output=True, text=True
    )
