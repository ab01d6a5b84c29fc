"""A command at a terminal of its own, and somebody who types there."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
from collections.abc import Sequence

from tests.e2e.rack import PROJECT, Run, environment

# Seconds without a word after which nothing more is to come.
_PATIENCE = 60


def run(command: Sequence[str], answers: dict[str, str]) -> Run:
    """Run it to its end; after each question, a pattern, what is typed. Both streams are one.

    What is returned is without colours.
    """
    session = Session(command)
    seen = 0
    while session.read():
        for question, answer in answers.items():
            if found := re.search(question, session.printed[seen:]):
                seen += found.end()
                session.type(f"{answer}\n")
    return session.end()


class Session:
    """A command at a terminal that the test types at, step by step."""

    def __init__(self, command: Sequence[str], **variables: str) -> None:
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            os.chdir(PROJECT)
            # A shell that runs the tests in its background has it ignored.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execve(command[0], list(command), {**environment(), **variables})
        self.printed = ""
        self._seen = 0

    def read(self) -> str:
        """What was printed since; "" when there is nobody any more to print."""
        text = _read(self._terminal)
        self.printed += text
        return text

    def wait_for(self, pattern: str) -> str:
        """Return when this is printed, and what; it is looked for behind what was found before."""
        while not (found := re.search(pattern, _plain(self.printed)[self._seen :], re.S)):
            coming, _, _ = select.select([self._terminal], [], [], _PATIENCE)
            said = self.read() if coming else ""
            assert said, f"came to no {pattern!r}:\n{_plain(self.printed)}"
        self._seen += found.end()
        return found[0]

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._terminal, keys.encode())

    def end(self) -> Run:
        """Wait for its end."""
        while self.read():
            pass
        os.close(self._terminal)
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return Run(code, _plain(self.printed), "")


def _plain(printed: str) -> str:
    """Without colours and the like, as far as what was printed is whole."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed).replace("\r\n", "\n")


def _read(terminal: int) -> str:
    """What was printed since; "" when there is nobody any more to print."""
    try:
        return os.read(terminal, 1 << 16).decode(errors="replace")
    except OSError:
        return ""
