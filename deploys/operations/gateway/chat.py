"""The first administrator of the chat page."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, State, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, programs, transport
from deploys.connection.transport import HostCommand
from deploys.facts.files import Entries


@operation()
def administrator(
    path: str, admin: str, systemd: bool = True
) -> Generator[PyinfraCommand, None, None]:
    """
    Make the first administrator's password on the machine, once, and say how to read it.

    + path: file on the machine that holds it, for root alone; it is shown nowhere
    + admin: who that administrator is
    + systemd: False while an image is built: its copies would all have the same password
    """
    looking.knows([path])
    if not systemd or path in host.get_fact(Entries, paths=(path,)):
        host.noop("the password is there" if systemd else "an image has no password")
        return
    looking.differs([f"{path} is missing"])
    yield HostCommand(_make, path, admin)


def _make(state: State, host: Host, arguments: Any, path: str, admin: str) -> bool:
    ok, output = transport.run(host, arguments, programs.inline("chat.administrator", path))
    if not ok:
        logger.error(f"{host.print_prefix}{output.stderr.strip()}")
        return False
    logger.info(
        f"{host.print_prefix}The chat page's first administrator is {admin}. The password is on"
        f" the machine, for root: grep PASSWORD {path}"
    )
    return True
