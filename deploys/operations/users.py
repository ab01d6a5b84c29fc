"""Accounts that services run as."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import QuoteString, StringCommand, operation
from pyinfra.api.command import PyinfraCommand

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

    def is_there(self, found: Account | None) -> bool:
        return (
            found is not None
            and (found.home, found.shell) == (self.home, self.shell)
            and set(self.groups) <= found.groups
        )


@operation()
def present(users: Sequence[User]) -> Generator[PyinfraCommand, None, None]:
    """
    Create or adjust system accounts; home directories are not created.

    + users: the accounts; other supplementary groups that an account has are kept
    """
    found = host.get_fact(Accounts, names=tuple(user.name for user in users))
    missing = [user for user in users if not user.is_there(found.get(user.name))]
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
