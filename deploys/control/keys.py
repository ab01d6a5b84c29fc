"""The keys file on the operator's computer; comments in it are kept."""

from __future__ import annotations

from pathlib import Path

import tomlkit
from tomlkit.items import AoT

from deploys.control.replaced import replace
from deploys.planning.gateway import keys
from deploys.planning.gateway.key import NEW, Key
from deploys.planning.inputs.refusal import Refusal

_HEADER = """\
# Who may ask the gateway. A key itself is nowhere here, so this file may be kept in git.
# Made with: python -m deploys.keys new USER TEAM. An entry that is deleted is a key that is refused
# after the next deploys/full.py.
"""


def read(path: Path) -> tuple[Key, ...]:
    """Return the keys of a file; raise Refusal if there is none, or something wrong in it."""
    text = _text(path)
    if text is None:
        raise Refusal(
            f"There is no {path}, so nobody could ask the gateway",
            f"{NEW} --keys {path} makes it, with a first key",
        )
    return keys.parse(text, str(path))


def add(path: Path, key: Key) -> None:
    """Add a key at the end of the file, which is made where there is none.

    Raise Refusal, and change nothing, if that would be no keys file.
    """
    text = _text(path)
    before = _HEADER if text is None else text
    keys.parse(before, str(path))
    document = tomlkit.parse(before)
    entry = tomlkit.table()
    for name, value in vars(key).items():
        if value is not None:
            entry.add(name, [*value] if isinstance(value, tuple) else value)
    if not document.get("key"):
        document["key"] = tomlkit.aot()
    _entries(document).append(entry)
    _write(path, tomlkit.dumps(document))


def remove(path: Path, user: str) -> int:
    """Take all keys of a user out of the file, and return how many there were."""
    found = read(path)
    count = sum(key.user == user for key in found)
    if not count:
        raise Refusal(
            f"{path} has no key of {user}",
            f"It has those of {', '.join(sorted({key.user for key in found})) or 'nobody'}",
        )
    document = tomlkit.parse(_text(path) or "")
    entries = _entries(document)
    for number in reversed(range(len(entries))):
        if entries[number]["user"] == user:
            del entries[number]
    if not entries:
        del document["key"]
    _write(path, tomlkit.dumps(document))
    return count


def _entries(document: tomlkit.TOMLDocument) -> AoT:
    entries = document["key"]
    assert isinstance(entries, AoT)
    return entries


def _text(path: Path) -> str | None:
    try:
        return path.expanduser().read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(
            f"{path} cannot be read: {error}", "Name the file with the keys as keys of the Gateway"
        ) from error


def _write(path: Path, text: str) -> None:
    """Replace the file by what is a keys file again, or raise Refusal."""
    keys.parse(text, str(path))
    if not path.expanduser().parent.is_dir():
        raise Refusal(f"There is no folder {path.parent}", "Make it, or name another with --keys")
    replace(path.expanduser(), text)
