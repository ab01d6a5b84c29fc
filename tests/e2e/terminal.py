"""A command at a terminal of its own, and somebody who types there."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Sequence

from tests.e2e.rack import PROJECT, Run, environment


def run(command: Sequence[str], answers: dict[str, str]) -> Run:
    """Run it to its end; after each question, a pattern, what is typed. Both streams are one.

    What is returned is without colours.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(PROJECT)
        os.execve(command[0], list(command), environment())
    printed, seen = "", 0
    while text := _read(terminal):
        printed += text
        for question, answer in answers.items():
            if found := re.search(question, printed[seen:]):
                seen += found.end()
                os.write(terminal, f"{answer}\n".encode())
    os.close(terminal)
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", printed).replace("\r\n", "\n")
    return Run(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), plain, "")


def _read(terminal: int) -> str:
    """What was printed since; "" when there is nobody any more to print."""
    try:
        return os.read(terminal, 1 << 16).decode(errors="replace")
    except OSError:
        return ""
