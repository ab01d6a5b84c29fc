"""Accounts that services run as."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking
from deploys.facts.users import Account, Accounts


@dataclass(frozen=True, kw_only=True)
class User:
    """A system account without a login; a new one gets a group of the same name.

    + groups: supplementary groups, which must exist
    """

    name: str
    home: str
    groups: tuple[str, ...] = ()
    shell: str = "/usr/sbin/nologin"

    def differs(self, found: Account | None) -> str:
        if found is None:
            return f"user {self.name} is missing"
        if (found.home, found.shell) != (self.home, self.shell):
            instead = f"{self.home} and {self.shell}"
            return f"user {self.name} has {found.home} and {found.shell} instead of {instead}"
        lacking = ", ".join(sorted({*self.groups} - found.groups))
        return f"user {self.name} is not in {lacking}" if lacking else ""


@operation()
def present(users: Sequence[User]) -> Generator[PyinfraCommand, None, None]:
    """
    Create or adjust system accounts; home directories are not created.

    + users: the accounts; other supplementary groups that an account has are kept
    """
    found = host.get_fact(Accounts, names=tuple(user.name for user in users))
    others = {user: user.differs(found.get(user.name)) for user in users}
    looking.knows(users=[user.name for user in users])
    looking.differs(filter(None, others.values()))
    missing = [user for user, other in others.items() if other]
    if not missing:
        host.noop("all accounts exist")
        return
    for user in missing:
        # By its letter: useradd and usermod have different words for it.
        settings = ["-d", QuoteString(user.home), "--shell", QuoteString(user.shell)]
        if user.groups:
            settings += ["--groups", QuoteString(",".join(user.groups))]
        if user.name in found:
            append = ["--append"] if user.groups else []
            yield StringCommand("usermod", *append, *settings, QuoteString(user.name))
        else:
            # The group first: useradd writes it after the account, and the power may fail between.
            yield StringCommand("groupadd", "--force", "--system", QuoteString(user.name))
            yield StringCommand(
                *("useradd", "--system", "--gid", QuoteString(user.name), "--no-create-home"),
                *settings,
                QuoteString(user.name),
            )
