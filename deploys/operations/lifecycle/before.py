"""What was on a machine before the first deploy."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, programs
from deploys.facts.files import Entries

NOTE = "/var/lib/modelrack/before.json"


@operation()
def noted(data_root: str, keys: Sequence[str]) -> Generator[PyinfraCommand, None, None]:
    """
    Note what is there, once: packages, accounts, ports, settings of the kernel, folders.

    + data_root: directory that will hold the models
    + keys: parameters of the kernel that will be set
    """
    looking.knows([NOTE])
    if NOTE in host.get_fact(Entries, paths=(NOTE,)):
        host.noop("it is noted what was there before")
        return
    looking.differs([f"{NOTE} is missing"])
    yield programs.inline("lifecycle.before", data_root, *keys)
