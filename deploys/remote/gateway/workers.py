"""The processes of HAProxy by its master's socket: what each has read, and telling it otherwise."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass

_PATIENCE = 10.0
# Characters of a command that are surely taken at once.
_AT_ONCE = 16_000
# HAProxy's bit for a server that somebody has set to "drain".
_DRAINED = 0x08


@dataclass(frozen=True)
class Worker:
    """One process that serves; one that is old only ends what it has begun."""

    pid: str
    old: bool


@dataclass(frozen=True)
class Copy:
    """One copy of a service as a process sees it.

    + drained: it gets no new requests until it is put back
    + up: the last check was answered
    + requests: those that it has now
    """

    backend: str
    server: str
    drained: bool
    up: bool
    requests: int


class Unanswered(Exception):
    """There is no such process, or it does not answer."""


def lines_digest(lines: Iterable[str]) -> str:
    """Return the digest of the lines of a map, whatever their order."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _pieces(lines: list[str]) -> Iterable[str]:
    piece = ""
    for line in lines:
        if len(piece) + len(line) > _AT_ONCE:
            yield piece
            piece = ""
        piece += f"{line}\n"
    if piece:
        yield piece


@dataclass(frozen=True)
class Master:
    """HAProxy's master process, by its socket."""

    socket: str

    def workers(self) -> list[Worker]:
        """Return the processes that serve; none if the gateway does not run."""
        found, old = [], False
        try:
            lines = self._ask("show proc").splitlines()
        except Unanswered:
            return []
        for line in lines:
            if line.startswith("#"):
                old = line.startswith("# old workers")
            elif (words := line.split())[1:2] == ["worker"]:
                found.append(Worker(words[0], old))
        return found

    def digest(self, worker: Worker) -> str:
        """Return the MODELRACK_DIGEST of the configuration that a process was started with."""
        return self._ask(f"@!{worker.pid} show env MODELRACK_DIGEST").strip().partition("=")[2]

    def fingerprint(self, worker: Worker, certificate: str) -> str:
        """Return the SHA-1 of the certificate that a process has read from a file; "" for none."""
        said = self._ask(f"@!{worker.pid} show ssl cert {certificate}")
        found = re.search(r"SHA1 FingerPrint: (\w+)", said)
        return found.group(1).lower() if found else ""

    def map(self, worker: Worker, path: str) -> dict[str, str]:
        """Return a map as a process has it; empty if it has no such map."""
        lines = self._map_lines(worker, path) or ()
        return dict(line.partition(" ")[::2] for line in lines)

    def map_digest(self, worker: Worker, path: str) -> str:
        """Return the digest of a map as a process has it; "" if it has no such map."""
        lines = self._map_lines(worker, path)
        return "" if lines is None else lines_digest(lines)

    def _map_lines(self, worker: Worker, path: str) -> list[str] | None:
        said = self._ask(f"@!{worker.pid} show map {path}")
        lines = [line.partition(" ")[2] for line in said.splitlines() if line.startswith("0x")]
        return None if not lines and "Unknown map" in said else lines

    def replace_map(self, worker: Worker, path: str, lines: list[str]) -> None:
        """Give a process another map, all of it in one moment."""
        before = f"@!{worker.pid}"
        said = self._ask(f"{before} prepare map {path}")
        version = re.search(r"version created: (\d+)", said)
        if not version:
            raise Unanswered(said.strip())
        number = version.group(1)
        for piece in _pieces(lines):
            said = self._ask(f"{before} add map @{number} {path} <<\n{piece}")
            if said.strip():
                raise Unanswered(said.strip())
        if said := self._ask(f"{before} commit map @{number} {path}").strip():
            raise Unanswered(said)

    def copies(self, worker: Worker) -> list[Copy]:
        """Return the copies that a process may ask."""
        administered = {
            (row["be_name"], row["srv_name"]): int(row["srv_admin_state"])
            for row in self._rows(f"@!{worker.pid} show servers state", " ", skipped=1)
        }
        return [
            Copy(
                backend=row["pxname"],
                server=row["svname"],
                drained=bool(administered[place] & _DRAINED),
                up=row["status"].startswith(("UP", "DRAIN", "NOLB")),
                requests=int(row["scur"]) + int(row["qcur"]),
            )
            for row in self._rows(f"@!{worker.pid} show stat", ",")
            if (place := (row["pxname"], row["svname"])) in administered
        ]

    def put(self, worker: Worker, copy: Copy, state: str) -> None:
        """Have a process use a copy ("ready"), or no longer ("drain")."""
        said = self._ask(f"@!{worker.pid} set server {copy.backend}/{copy.server} state {state}")
        if said.strip():
            raise Unanswered(said.strip())

    def _rows(self, command: str, between: str, skipped: int = 0) -> list[dict[str, str]]:
        lines = self._ask(command).splitlines()[skipped:]
        if not lines or not lines[0].startswith("# "):
            raise Unanswered("\n".join(lines))
        names = lines[0].removeprefix("# ").split(between)
        return [dict(zip(names, line.split(between), strict=False)) for line in lines[1:] if line]

    def _ask(self, command: str) -> str:
        answer = b""
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(_PATIENCE)
                link.connect(self.socket)
                link.sendall(f"{command}\n".encode())
                link.shutdown(socket.SHUT_WR)
                while part := link.recv(65536):
                    answer += part
        except OSError as error:
            raise Unanswered(str(error)) from error
        return answer.decode(errors="replace")
