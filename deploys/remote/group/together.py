"""One node of a group: its engine starts when all nodes are there, and ends when one is gone.

    modelrack.pyz together --group FILE.json -- COMMAND ...

Whatever ends on one node (the engine, with any status, the machine, the cable) ends the engine on
all of them, and this program with 1, so that systemd starts it again everywhere: a group works as a
whole or not at all. Before anything is loaded, the gate is passed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from selectors import DefaultSelector
from types import FrameType

from ..lib.failure import Failure
from . import engine, log, settings
from .asker import Asker
from .engine import EngineProgram
from .gate import Gate
from .head import HeadNode
from .member import MemberNode
from .node import Over, Participant
from .settings import GroupSettings

# Seconds between two looks at the clock and at what was started.
_LOOK_EVERY = 0.5


def run(file: Path, command: Sequence[str]) -> int:
    """Take part in the group until it is over; return 1, or end as the signal ends that asks to."""
    together = _Course(settings.read(file), command)
    told: list[int] = []

    def take_note(number: int, frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, take_note)
    try:
        why, patience = together.until_over(told), engine.LOST
    except (Failure, OSError) as failure:
        why, patience = f"{together.name}: {failure}", engine.LOST
    if told:
        patience = engine.TOLD
    together.end(why, patience)
    if told:
        # systemd takes this for an end in order, and everybody else for one that is none.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    return 1


class _Course:
    def __init__(self, group: GroupSettings, command: Sequence[str]) -> None:
        self._group, self._command = group, command
        self._selector = DefaultSelector()
        kind = MemberNode if group.rank else HeadNode
        self._node: Participant = kind(group, self._selector)
        self._gate: Gate | None = None
        self._is_past_the_gate = False
        self._engine: EngineProgram | None = None
        self._asker: Asker | None = None
        self._state = ""

    @property
    def name(self) -> str:
        return self._group.named(self._group.rank)

    def until_over(self, told: list[int]) -> str:
        """Gather, measure and serve; return why that is over."""
        log.tell_systemd("READY=1")
        try:
            while not told:
                for key, _ in self._selector.select(_LOOK_EVERY):
                    key.data()
                self._node.tick()
                self._go_on()
                self._show()
            return f"{self.name} was told to stop"
        except Over as over:
            return str(over)

    def end(self, why: str, patience: float) -> None:
        """Tell the others, and end what runs here."""
        log.say(f"{why}: ending")
        self._node.end(why)
        log.tell_systemd(f"STATUS=Ending: {why}")
        if self._asker:
            self._asker.stop()
        if self._gate:
            self._gate.end()
        if self._engine:
            self._engine.end(patience)

    def _go_on(self) -> None:
        """Start what is to be started next, and look after what was."""
        if self._node.begun and not self._is_past_the_gate:
            self._measure()
        if self._node.may_go and self._engine is None:
            log.say("starting the engine")
            self._engine = EngineProgram(self._command)
            if self._group.question and not self._group.rank:
                self._asker = Asker(self._group.question)
                self._asker.start()
        if self._engine and (ended := self._engine.ended()):
            raise Over(f"{self.name}: {ended}")
        if self._asker and self._asker.broken:
            raise Over(f"{self.name}: {self._asker.broken}")

    def _measure(self) -> None:
        if self._group.gate and self._gate is None:
            log.say("measuring the way between the nodes")
            self._gate = Gate(self._group, self._group.gate)
        if self._gate:
            if not self._gate.is_over():
                return
            if wrong := self._gate.wrong():
                raise Over(f"{self.name}: the gate: {wrong}")
            log.say(self._gate.figures)
        self._is_past_the_gate = True
        self._node.passed()

    def _show(self) -> None:
        if self._engine:
            state = "All nodes are there, the engine runs"
        elif self._node.begun:
            state = "Measuring the way between the nodes"
        else:
            state = f"Waiting for {self._node.missing}"
        # A program that hangs is ended by systemd, as a node that is silent is by the others.
        log.tell_systemd("WATCHDOG=1", *([f"STATUS={state}"] if state != self._state else []))
        self._state = state
