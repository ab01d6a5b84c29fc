"""Python, on a machine that came without: before the plan, which is read with it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

from pyinfra import host, logger, state
from pyinfra.api import Host, QuoteString, State, StringCommand, operation
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.operation import OperationMeta
from pyinfra.api.operations import run_host_op

from deploys.connection import transport
from deploys.connection.transport import HostCommand
from deploys.operations import packages
from deploys.planning.first_python import FirstPython
from deploys.planning.package_manager import Apt
from deploys.rendering import render

# With these pyinfra ends before it carries anything out, whether or not -y is given.
_ONLY_LOOKING = {"--dry", "--debug-facts", "--debug-operations"}
# What notes at a host that this run installed it.
_DONE = "modelrack_python"


@operation()
def installed(first: FirstPython) -> Generator[PyinfraCommand, None, None]:
    """
    Have python3 on a machine that has none, with its package manager and a shell alone.

    + first: what is installed, and how

    Who holds the package manager is not told here, as it takes Python to see; apt waits by itself.
    """
    if host.connector_data.get(_DONE):
        yield HostCommand(_say, f"{first.package} was installed before the plan was made")
        return
    if not list(packages.missing([first.package], first.manager)):
        host.noop(f"{first.package} is installed")
        return
    if isinstance(first.manager, Apt):
        if first.manager.mirror:
            sources = render.apt_sources(first.manager, first.system)
            yield StringCommand(
                *("umask", "022;", "mkdir", "-p", QuoteString(render.APT_SOURCES_FOLDER), "&&"),
                *("printf", "%s", QuoteString(sources.content)),
                *(">", QuoteString(sources.path)),
            )
        yield HostCommand(packages.finish_what_was_interrupted, first.manager)
        yield _command(packages.apt_get(first.manager, "update"))
        words = ("install", "--no-install-recommends", first.package)
        yield _command(packages.apt_get(first.manager, *words))
    else:
        yield _command(["dnf", "-y", "install", first.package])
    if state.is_executing:
        yield transport.fail(
            f"{first.package} is installed. Run the same command again: only now can it be seen"
            " what else would change."
        )


def at_once(wanted: OperationMeta, first: FirstPython) -> None:
    """Carry the operation out now, so that the plan can be made; or end here without a plan.

    Whoever did not give -y is asked before any change, and only looks with --dry. Then this
    operation is all that can be said of the machine, or done to it, in this run.
    """
    this = state.inventory.get_host(host.name)
    if state.should_check_for_changes() or _ONLY_LOOKING & set(sys.argv):
        logger.info(
            f"{this.print_prefix}there is no python3, which the plan is made with."
            f" {first.command} comes first; what else would change can be seen after it."
        )
        transport.leave()
    logger.info(f"{this.print_prefix}there is no python3, so it comes first: {first.command}")
    if not run_host_op(state, this, wanted._hash):
        transport.stop(this)
    this.connector_data[_DONE] = True
    # It has its turn once more, for the table of results; what is complete cannot be completed.
    state.get_op_data_for_host(this, wanted._hash).operation_meta = OperationMeta(
        wanted._hash, None
    )


def _say(state: State, host: Host, arguments: Any, text: str) -> bool:
    logger.info(f"{host.print_prefix}{text}")
    return True


def _command(words: list[str]) -> StringCommand:
    return StringCommand(*map(QuoteString, words))
