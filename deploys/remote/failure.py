"""The ways a program ends early; each message is one line: what is wrong, what to do next."""

from __future__ import annotations


class Failure(Exception):
    """The work cannot be done as asked; the text is shown to the operator as it stands."""


class SourceFailure(Failure):
    """This source cannot give this file; another source may."""


class Stopped(Failure):
    """A signal asked for the end; everything on disk is fit to continue from."""

    def __init__(self) -> None:
        super().__init__("stopped by a signal; run the same command again to continue from here")
