"""Certificates of the site's CA, for keys that are made on the machine and never leave it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra import host, logger
from pyinfra.api import Host, State, operation
from pyinfra.api.command import PyinfraCommand

from deploys.connection import looking, programs, transport
from deploys.connection.transport import HostCommand
from deploys.control import own_certificate
from deploys.control.authority import Authority, authority
from deploys.facts.gateway import Certificates
from deploys.operations import files
from deploys.operations.files import Directory


@dataclass(frozen=True, kw_only=True)
class Signed:
    """One certificate that is to be.

    + path: the file that has it with its key
    + name, names: who it is for
    + until_another: only as long as no other authority has signed one that is there
    """

    path: str
    name: str
    names: tuple[str, ...]
    until_another: bool = False


@operation()
def signed(
    wanted: Sequence[Signed], folder: Directory, secrets: Path
) -> Generator[PyinfraCommand, None, None]:
    """
    Have certificates signed that are missing, of another CA, for other names or soon too old.

    + wanted: certificates in one folder
    + folder: that folder; its group may read certificates and keys
    + secrets: folder of the CA that signs them, on the operator's computer
    """
    looking.knows(each.path for each in wanted)
    found = host.get_fact(Certificates, paths=tuple(each.path for each in wanted))
    signing = authority(secrets) if found else None
    missing = [
        each
        for each in wanted
        if not signing or each.path not in found or not _is_good(signing, found[each.path], each)
    ]
    if not missing:
        host.noop("all certificates are good")
        return
    looking.differs(f"{each.path} is missing, too old, or not this site's" for each in missing)
    yield files.write([folder])
    for each in missing:
        yield HostCommand(_sign, each, folder.group, secrets)


def _is_good(signing: Authority, chain: str, wanted: Signed) -> bool:
    if wanted.until_another and not signing.has_signed(chain):
        return own_certificate.is_good(chain, wanted.name)
    return signing.is_good(chain, wanted.name, wanted.names)


def _sign(
    state: State, host: Host, arguments: Any, wanted: Signed, group: str, secrets: Path
) -> bool:
    """Take the machine's request and give it the certificate."""
    program = "gateway.certificate"
    ok, output = transport.run(host, arguments, programs.inline(program, "request", wanted.path))
    if ok:
        chain = authority(secrets).sign(output.stdout, wanted.name, wanted.names)
        accept = programs.inline(program, "accept", wanted.path, group)
        ok, output = transport.run(host, arguments, accept, _stdin=chain)
    if not ok:
        logger.error(f"{host.print_prefix}no certificate for {wanted.name}: {output.stderr}")
    return ok
