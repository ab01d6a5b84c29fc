"""Take modelrack off this machine: the machine is then what it was before the first deploy.

    python3 uninstall.py --look < request     print what there is to take away, as a JSON list
    python3 uninstall.py < request            take it away, and print what stays and why, as JSON

    {"data_root": folder, "weights": bool, "driver": bool, "chat": bool}

Weights, the GPU driver with its repository, and what people keep on the chat page stay unless they
are asked for. What was there before the first deploy is in before.json, and stays. It may be killed
at any moment: the folder that has this record is removed last, and the next run goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..lib.failure import exit_code
from ..lib.probe import read
from . import ours, removed_packages, trees
from .before import NOTE

# What the driver needs in folders of others, by the folder or by the name.
_DRIVER = (
    *("/etc/modprobe.d/", "/etc/modules-load.d/", "/etc/apt/sources.list.d/"),
    *("/etc/apt/preferences.d/", "/etc/yum.repos.d/", "/etc/apt/apt.conf.d/60modelrack-gpu"),
)
# What is read at boot before anything of the disk.
_BLACKLIST = Path("/etc/modprobe.d/modelrack-gpu.conf")
_KEYRINGS, _SOURCES = Path("/etc/apt/keyrings"), Path("/etc/apt/sources.list.d")
# What says that a folder is one of a model, whole or half fetched.
_MODEL = ("manifest.json", ".fetch")
_CHAT = Path("/var/lib/modelrack-webui")
_STATE = Path("/var/lib/modelrack")
_RECORD = (NOTE, removed_packages.ASKED)
# What others had at places of ours (lib/put.py).
REPLACED = _STATE / "before"


@dataclass
class Asked:
    """What is asked for, what was there before, and what stays, in sentences."""

    data_root: Path
    weights: bool
    driver: bool
    chat: bool
    before: dict[str, Any]
    stays: list[str] = field(default_factory=list)

    @property
    def known(self) -> bool:
        """Whether it was noted what there was before us."""
        return bool(self.before.get("known"))


def main() -> int:
    return exit_code(_main)


def _main() -> int:
    request: dict[str, Any] = json.load(sys.stdin)
    try:
        before: dict[str, Any] = json.loads(read(NOTE))
    except ValueError:
        before = {}
    asked = Asked(
        Path(request["data_root"]), request["weights"], request["driver"], request["chat"], before
    )
    if "--look" in sys.argv:
        print(json.dumps(list(there(asked))))
        return 0
    _stop(asked)
    _remove_files(asked)
    _restore_settings(asked)
    _remove_users(asked)
    _remove_weights(asked)
    removed_packages.remove(asked.before, asked.driver, asked.stays)
    _remove_folders(asked)
    print(json.dumps(asked.stays))
    return 0


def there(asked: Asked) -> Iterator[str]:
    """Yield what is to be taken away."""
    yield from (path for path in ours.marked() if asked.driver or not path.startswith(_DRIVER))
    folders = [f"/{folder}" for folder in ours.FOLDERS]
    folders += [str(_CHAT)] if asked.chat else []
    folders += list(map(str, _models(asked))) if asked.weights else []
    # What was there before is remembered as long as anything stays.
    state = [str(_STATE)] if _has_kept(asked) and {*_STATE.glob("*")} <= {*_RECORD} else []
    yield from (each for each in folders if each not in state and trees.removable(Path(each)))
    yield from (f"user {name}" for name in _users(asked))


def _stop(asked: Asked) -> None:
    """Stop and disable all units of ours, and instances of them."""
    patterns = ["modelrack-*", *(name.replace("@.", "@*.") for name in sorted(ours.units()))]
    if Path("/run/systemd/system").is_dir():
        _run("systemctl", "stop", *patterns)
        _run("systemctl", "reset-failed", *patterns)
        # Of the gateway, which has a journal of its own.
        _run("systemctl", "stop", "systemd-journald*@modelrack-*.socket")
        _run("systemctl", "stop", "systemd-journald@modelrack-*.service")
    for link in ours.enabled():
        os.unlink(link)
        _leave(asked, Path(link).parent)


def _remove_files(asked: Asked) -> None:
    """Remove what is ours in folders of others, or put back what they had there."""
    kept = [path for path in ours.marked() if not asked.driver and path.startswith(_DRIVER)]
    additions = {*ours.additions()}
    in_initramfs = asked.driver and _BLACKLIST.exists()
    for path in map(Path, ours.marked()):
        if str(path) in kept:
            continue
        replaced = REPLACED / path.relative_to("/")
        if replaced.exists():
            shutil.move(str(replaced), str(path))
            asked.stays.append(f"{path} is again what it was before modelrack")
        else:
            path.unlink()
            _leave(asked, path.parent)
    for addition in sorted(additions):
        if os.path.exists(addition):
            asked.stays.append(f"{addition} adds to a unit that is gone, and was written by others")
    if kept:
        asked.stays.append("the GPU driver stays, with its repository: --data driver=true")
    else:
        _remove_repository(asked)
    if in_initramfs and shutil.which("update-initramfs"):
        _run("update-initramfs", "-u", "-k", "all")
    elif in_initramfs and shutil.which("dracut"):
        _run("dracut", "--force", "--regenerate-all")
    if Path("/run/systemd/system").is_dir():
        _run("systemctl", "daemon-reload")


def _remove_repository(asked: Asked) -> None:
    for key in [*_KEYRINGS.glob("*-????????????.gpg"), *_KEYRINGS.glob("*-????????????.asc")]:
        if not any(key.name in read(each) for each in _SOURCES.glob("*")):
            key.unlink()
    for name in asked.before.get("sources", ()):
        disabled = _SOURCES / f"{name}.disabled"
        if disabled.exists() and not (_SOURCES / name).exists():
            disabled.rename(_SOURCES / name)
    _leave(asked, _KEYRINGS)


def _restore_settings(asked: Asked) -> None:
    for key, value in asked.before.get("sysctl", {}).items():
        path = Path("/proc/sys", key.replace(".", "/"))
        if value and read(path).strip() != value:
            try:
                path.write_text(value)
            except OSError:
                asked.stays.append(f"{key} is {read(path).strip()} until the next boot")


def _users(asked: Asked) -> list[str]:
    """Return our accounts, but for the owner of what people keep as long as that stays."""
    others = {*asked.before.get("users", ())}
    if _CHAT.exists() and not asked.chat:
        others.add(_CHAT.name)
    return [name for name in ours.accounts(read("/etc/passwd")) if name not in others]


def _remove_users(asked: Asked) -> None:
    for name in _users(asked):
        _run("userdel", name)


def _models(asked: Asked) -> list[Path]:
    """Return the folders of models that we have fetched."""
    models = asked.data_root / "models"
    return sorted({each.parent for kind in _MODEL for each in models.glob(f"*/{kind}")})


def _remove_weights(asked: Asked) -> None:
    models = asked.data_root / "models"
    trees.remove(models / ".by-sha256", asked.stays)
    # Hard links to the weights, with a list of them.
    links = asked.data_root / "ollama"
    if asked.known and str(links) not in asked.before["folders"]:
        trees.remove(links, asked.stays)
    elif links.exists():
        asked.stays.append(f"{links} stays: it may have been there before")
    for folder in _models(asked):
        if asked.weights:
            trees.remove(folder, asked.stays)
        else:
            asked.stays.append(f"{folder} stays: --data weights=true")
    _leave(asked, models)
    for folder in (asked.data_root, *asked.data_root.parents):
        _leave(asked, folder)


def _remove_folders(asked: Asked) -> None:
    if _CHAT.exists() and not asked.chat:
        asked.stays.append(f"{_CHAT} stays, with what people keep there: --data chat=true")
    elif _CHAT.exists():
        trees.remove(_CHAT, asked.stays)
    for log in ("/var/log/journal", "/run/log/journal"):
        for folder in Path(log).glob("*.modelrack-*"):
            trees.remove(folder, asked.stays)
    trees.remove(Path("/var/cache/modelrack-webui"), asked.stays)
    for name in ours.FOLDERS:
        folder = Path("/", name)
        if folder != _STATE:
            trees.remove(folder, asked.stays)
    if _has_kept(asked):
        asked.stays.append(f"{_STATE} stays beside that: it says what was there before modelrack")
    for entry in _STATE.iterdir() if _STATE.exists() else ():
        if entry not in _RECORD:
            trees.remove(entry, asked.stays)
    if not _has_kept(asked):
        # Last: by this the next run knows what was there, if this one is killed before.
        trees.remove(_STATE, asked.stays)


def _has_kept(asked: Asked) -> bool:
    """Return whether something stays that may be asked for later."""
    driver = not asked.driver and bool(removed_packages.of_driver(asked.before))
    driver = driver or any(path.startswith(_DRIVER) for path in ours.marked())
    weights = _models(asked) and not asked.weights
    return asked.known and bool(driver or weights or (_CHAT.exists() and not asked.chat))


def _leave(asked: Asked, folder: Path) -> None:
    """Remove a folder in which nothing is left, unless it was there before."""
    if asked.known and str(folder) not in asked.before["folders"]:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _run(*command: str) -> None:
    """Run a command whose failure says that there is nothing to do."""
    subprocess.run(command, capture_output=True, check=False)


if __name__ == "__main__":
    raise SystemExit(main())
