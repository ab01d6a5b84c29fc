"""Passwords that sudo wants: typed at the terminal, or refused with what to do instead."""

from __future__ import annotations

import os
from getpass import getpass
from typing import TextIO

from pyinfra import context
from pyinfra.context import ctx_host, ctx_state

from deploys.planning.inputs.refusal import Refusal


def typed(prompt: str, stream: TextIO | None = None) -> str:
    """Ask the operator for the password that sudo wants and that no option gave."""
    if ctx_state.isset() and context.state.config.SUDO_PASSWORD:
        raise _refused(
            "sudo on this machine did not get the password that you gave",
            "Where its /tmp is mounted noexec, add --data _temp_dir=/var/tmp: pyinfra hands the"
            " password over by a program in that folder",
        )
    if not has_terminal():
        raise _refused(
            "sudo on this machine wants a password, and there is no terminal to type it at",
            "Run this at a terminal, or add --same-sudo-password and give it on standard input, or"
            " have sudo ask for none: NOPASSWD in /etc/sudoers.d on the machine",
        )
    return getpass(prompt, stream)


def _refused(reason: str, hint: str) -> Exception:
    refusal = Refusal(reason, hint)
    # In an operation, anything but an OSError would end the run of every machine.
    return PermissionError(str(refusal)) if _in_operation() else refusal


def _in_operation() -> bool:
    return ctx_host.isset() and context.host.executing_op_hash is not None


def has_terminal() -> bool:
    """Whether somebody can type an answer, whatever standard input is."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
