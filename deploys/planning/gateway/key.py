"""One key of the gateway: whose it is and how much it allows, by its SHA-256 alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

# What every key begins with, so that whoever finds one knows what it opens.
PREFIX = "mr-"
NEW = ".venv/bin/python -m deploys.keys new USER TEAM"
# The user of the chat page's key, which is made on the machine.
RESERVED = "open-webui"
# Whose the key is that a unit of an appliance makes for itself.
OWNER, OWNERS_TEAM = "owner", "appliance"


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key; a user with several has the same limits with each.

    + sha256: of the key, lower case hex
    + rate, at_once, tokens_a_day: requests a minute and at the same time, tokens of prompts and
      answers from midnight to midnight UTC; None: as the gateway says, and tokens without a limit
    + models: names of services, None for all
    + until: last day on which this key is good, UTC
    """

    user: str
    team: str
    sha256: str
    rate: int | None = None
    at_once: int | None = None
    tokens_a_day: int | None = None
    models: tuple[str, ...] | None = None
    until: date | None = None


def own_keys(sha256: str | None) -> tuple[Key, ...]:
    """Return the key that a unit of an appliance has on its console; none on other machines."""
    return (Key(user=OWNER, team=OWNERS_TEAM, sha256=sha256),) if sha256 else ()
