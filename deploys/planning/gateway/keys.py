"""keys.toml as text: parsed, and what it keeps of a new key."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import fields
from datetime import date, datetime
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from deploys.planning.gateway.key import NEW, PREFIX, RESERVED, Key
from deploys.planning.inputs.refusal import Refusal

_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_TEAM = re.compile(r"[\w.@-][\w .@-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LIMITS = ("rate", "at_once", "tokens_a_day")


def made() -> str:
    """Return a new key: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def sha256(key: str) -> str:
    """Return what a file or a machine keeps of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse(text: str, where: str) -> tuple[Key, ...]:
    """Return the keys of a file; raise Refusal at the first thing wrong with it.

    + where: name of the file, for the refusal
    """
    try:
        content = tomlkit.parse(text).unwrap()
    except TOMLKitError as error:
        raise Refusal(
            f"{where} is not TOML: {error}", f"Mend that line; {NEW} writes whole entries"
        ) from error
    if unknown := {*content} - {"key"}:
        raise Refusal(
            f"{where}: there is no setting {', '.join(sorted(unknown))}",
            "Each entry begins with a line [[key]]",
        )
    entries = content.get("key", [])
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise Refusal(f"{where}: [key] is not a list", "Begin each entry with a line [[key]]")
    keys = tuple(_key(entry, f"{where}, key {n}") for n, entry in enumerate(entries, 1))
    _check_together(keys, where)
    return keys


def _key(entry: Mapping[str, Any], at: str) -> Key:
    user = entry.get("user")
    if not isinstance(user, str) or not _USER.fullmatch(user):
        raise Refusal(
            f"{at}: {user!r} cannot name a user",
            "Use letters, digits, dots, dashes, underscores and @, 64 at most",
        )
    if user == RESERVED:
        raise Refusal(f"{at}: {user} is the chat page", "Give this user another name")
    at = f"{at} ({user})"
    if unknown := {*entry} - {field.name for field in fields(Key)}:
        raise Refusal(
            f"{at}: there is no setting {', '.join(sorted(unknown))}",
            f"Write one of {', '.join(field.name for field in fields(Key))}",
        )
    team, digest = entry.get("team"), entry.get("sha256")
    if not isinstance(team, str) or not _TEAM.fullmatch(team):
        raise Refusal(
            f"{at}: {team!r} cannot name a team", "Use letters, digits, spaces, dots and dashes"
        )
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise Refusal(
            f"{at}: sha256 is not 64 lower case hex digits",
            f"Take the entry away and make a key with {NEW}",
        )
    for name in _LIMITS:
        value = entry.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise Refusal(f"{at}: {name} is {value!r}", "Give a number from 1 up, or leave it out")
    return Key(**{**entry, "models": _models(entry, at), "until": _until(entry, at)})


def _models(entry: Mapping[str, Any], at: str) -> tuple[str, ...] | None:
    models = entry.get("models")
    if models is None:
        return None
    if not isinstance(models, list) or not models or not all(isinstance(m, str) for m in models):
        raise Refusal(
            f"{at}: models is {models!r}",
            'Name services, such as models = ["r1"], or leave the line out for all of them',
        )
    return tuple(models)


def _until(entry: Mapping[str, Any], at: str) -> date | None:
    until = entry.get("until")
    if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
        raise Refusal(
            f"{at}: until is {until!r}", "Write a day without quotes, such as until = 2027-01-31"
        )
    return until


def _check_together(keys: tuple[Key, ...], where: str) -> None:
    first: dict[str, Key] = {}
    digests: dict[str, Key] = {}
    for key in keys:
        other = digests.setdefault(key.sha256, key)
        if other is not key:
            raise Refusal(
                f"{where}: {other.user} and {key.user} have the same key",
                f"Take one of them away and make a key with {NEW}",
            )
        before = first.setdefault(key.user, key)
        for name in ("team", *_LIMITS, "models"):
            if getattr(before, name) != getattr(key, name):
                raise Refusal(
                    f"{where}: the keys of {key.user} differ in {name}",
                    "Give all keys of a user the same limits; until alone is a key's own",
                )
