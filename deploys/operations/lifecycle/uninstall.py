"""Everything of ours taken off a machine."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, State, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import programs, transport
from deploys.connection.transport import HostCommand
from deploys.facts.lifecycle.remains import Remains


@operation()
def everything(
    data_root: str, weights: bool = False, driver: bool = False, chat: bool = False
) -> Generator[PyinfraCommand, None, None]:
    """
    Take away units, files, accounts, packages and folders of ours, as far as nobody needs them.

    + data_root: directory that holds the models
    + weights: the models, too
    + driver: that of the GPUs, with its repository, too
    + chat: what people keep on the chat page, too

    What was there before the first deploy stays, or is put back; what stays is named.
    """
    request = {"data_root": data_root, "weights": weights, "driver": driver, "chat": chat}
    if not host.get_fact(Remains, request=json.dumps(request)):
        host.noop("nothing of modelrack is left")
        return
    yield HostCommand(_take_away, json.dumps(request))


def _take_away(state: State, host: Host, arguments: Any, request: str) -> bool:
    ok, output = transport.run(
        host, arguments, programs.inline("lifecycle.uninstall"), _stdin=request
    )
    if not ok:
        logger.error(f"{host.print_prefix}{output.stderr.strip()}")
        logger.error(
            f"{host.print_prefix}Put that right, and run this again: it goes on from there"
        )
        return False
    for sentence in json.loads(output.stdout_lines[-1]):
        logger.info(f"{host.print_prefix}{sentence}")
    return True
