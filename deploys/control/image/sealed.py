"""A deployed tree made one for many: nothing of one unit is in it, of the builder, or of today."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploys.planning.image import sealing
from deploys.planning.inputs.refusal import Refusal

# A stub that systemd-resolved keeps.
_RESOLVED = "../run/systemd/resolve/stub-resolv.conf"
_DAY = 86400


def seal(tree: Path, epoch: int, models: Path, own_sources: bool) -> list[str]:
    """Take out of a tree what does not belong in an image; return what was taken out.

    + models: folder of the tree with the weights
    + own_sources: the lists of apt are the distribution's own; otherwise they name this site's
    """
    gone = list(_remove(tree, (*sealing.IDENTITY, *sealing.SECRETS, *sealing.TRACES)))
    if not own_sources:
        gone += _remove(tree, ("etc/apt/sources.list", "etc/apt/sources.list.d/*"))
    gone += _remove(tree, [str(path.relative_to(tree)) for path in models.glob("*/.fetch")])
    for folder, _, files in os.walk(tree / sealing.LOGS):
        for name in files:
            Path(folder, name).unlink()
            gone.append(str(Path(folder, name).relative_to(tree)))
    for name, content in sealing.REWRITTEN.items():
        path = tree / name
        if content is not None:
            path.write_text(content)
        elif not path.is_symlink():
            path.unlink(missing_ok=True)
            path.symlink_to(_RESOLVED)
    hurried = tree / "etc/dpkg/dpkg.cfg.d/99mmdebstrap"
    if hurried.exists():
        kept = [line for line in hurried.read_text().splitlines() if "unsafe-io" not in line]
        hurried.write_text("".join(f"{line}\n" for line in kept))
    shadow = tree / "etc/shadow"
    lines = shadow.read_text().splitlines()
    shadow.write_text("".join(f"{sealed_account(line, epoch)}\n" for line in lines))
    for manifest in sorted(models.glob("*/manifest.json")):
        manifest.write_text(unproven(manifest.read_text()))
    return sorted(gone)


def sealed_account(line: str, epoch: int) -> str:
    """Return an account of /etc/shadow: nobody logs in as root by a password of the builder's."""
    fields = line.split(":")
    if fields[0] == "root":
        fields[1] = "!"
    fields[2] = str(epoch // _DAY)
    return ":".join(fields)


def unproven(manifest: str) -> str:
    """Return the manifest of weights that lie elsewhere now: each unit reads and proves them."""
    told = json.loads(manifest)
    for file in told["files"]:
        file["mtime_ns"], file["inode"] = 0, None
    return json.dumps(told, indent=1) + "\n"


def clamp(tree: Path, epoch: int) -> None:
    """Have no file say that it is younger than `epoch`."""
    for folder, folders, files in os.walk(tree):
        for name in (".", *folders, *files):
            path = Path(folder, name)
            if path.lstat().st_mtime > epoch:
                os.utime(path, (epoch, epoch), follow_symlinks=False)


def builders(*more: str) -> list[bytes]:
    """Return words that only this computer would have put into a file.

    + more: such as folders that the tree was made in
    """
    name = socket.gethostname()
    told = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False)
    # A short name is a word of many files.
    names = [name] if len(name) > 4 and name != "localhost" else []
    return [word.encode() for word in (*names, *told.stdout.split(), *more) if word]


def leaks(tree: Path, words: Sequence[bytes], models: Path | None = None) -> Iterator[str]:
    """Yield a sentence about each file with a private key, a token, or a word of the builder's.

    + models: folder of weights; those that a manifest names are what was pinned, and as large as a
      disk, so they are not read
    """
    secret = re.compile(b"(" + sealing.PRIVATE_KEY + b")|(" + sealing.TOKEN + b")")
    named = re.compile(rb"(?<![\w.])(?:" + b"|".join(map(re.escape, words)) + rb")(?![\w])")
    of_packages = {
        line.split(None, 1)[1]
        for sums in tree.glob(sealing.SUMS)
        for line in sums.read_text().splitlines()
    }
    weights = {
        manifest.parent / file["path"]
        for manifest in (models.glob("*/manifest.json") if models else ())
        for file in json.loads(manifest.read_text())["files"]
    }
    for folder, _, files in os.walk(tree):
        for name in files:
            path = Path(folder, name)
            where = str(path.relative_to(tree))
            if path.is_symlink() or not path.is_file() or where in of_packages or path in weights:
                continue
            if sealing.OF_OTHERS.match(where):
                continue
            content = path.read_bytes()
            if words and (found := named.search(content)):
                yield f"{where} has {found[0].decode()}, which is the builder's"
            if found := secret.search(content):
                yield f"{where} has a {'private key' if found[1] else 'token'}"


def check(tree: Path, words: Sequence[bytes], models: Path | None = None) -> None:
    """Refuse a tree with what every unit would share, or what tells of the builder.

    + models: folder of weights
    """
    keys = tree / "etc/modelrack/gateway/keys.map"
    if keys.exists() and keys.read_text().strip():
        raise Refusal(
            "The gateway of this image lets users in, with the same keys on each unit",
            "Name a keys file without keys in its profile: each unit makes a key of its own",
        )
    found = list(leaks(tree, words, models))
    if found:
        raise Refusal(
            f"{len(found)} files have what no image may have, such as: {'; '.join(found[:5])}",
            "Have the stage that wrote them leave it out, or add them to what is taken out in"
            " deploys/planning/image/sealing.py",
        )


def _remove(tree: Path, globs: Sequence[str]) -> Iterator[str]:
    for glob in globs:
        for path in sorted(tree.glob(glob)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            yield str(path.relative_to(tree))
