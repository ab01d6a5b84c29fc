"""The hosts that a preset of `Mirrors` names, as far as one lab is concerned: our stand-ins.

Machines look the names up in their own /etc/hosts and trust an authority that lives as long as the
lab, so addresses are used as they stand in the preset, HTTPS included. Nobody else is asked.
"""

from __future__ import annotations

import asyncio
import datetime
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests import temporary
from tests.lab.http_server import Reply, StandIn, json_reply
from tests.lab.machine import Machine

if TYPE_CHECKING:
    from typing_extensions import Self

_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
# What an authority's key is for; some clients ask for it to be said.
_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


class Internet:
    """`with Internet({"https://github.com": stand_in}) as internet: internet.listen(lab.host)`."""

    def __init__(self, places: Mapping[str, StandIn]) -> None:
        below: dict[str, dict[str, StandIn]] = {}
        for address, standin in places.items():
            parts = urlsplit(address)
            assert parts.scheme == "https" and parts.hostname, address
            below.setdefault(parts.hostname, {})[parts.path.rstrip("/")] = standin
        self.hosts = {name: _Host(paths) for name, paths in below.items()}
        self._authority, self._context = _certified(list(self.hosts))
        self._context.sni_callback = self._called
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._address = ""

    def asked(self, address: str) -> list[str]:
        """Paths below an address that were asked for, in order, each that was answered with 2xx."""
        parts = urlsplit(address)
        path = parts.path.rstrip("/")
        return [
            request.path[len(path) :]
            for request in self.hosts[parts.hostname or ""].requests
            if request.path.startswith(path) and request.status // 100 in (2, 3)
        ]

    def listen(self, bind: str) -> None:
        """Answer there from now on, on the port of HTTPS."""
        self._address = bind
        self._thread.start()
        start = asyncio.start_server(self._forward, bind, 443, ssl=self._context)
        asyncio.run_coroutine_threadsafe(start, self._loop).result()

    def introduce(self, machine: Machine) -> None:
        """Have a machine that is not switched on yet find the hosts and trust them."""
        tree = machine.directory / "root"
        with (tree / "etc/hosts").open("a") as hosts:
            hosts.write(f"{self._address} {' '.join(self.hosts)}\n")
        # The second is what the first is made of when the distribution makes it anew.
        for name in (_BUNDLE, "usr/local/share/ca-certificates/lab.crt"):
            with (tree / name).open("ab") as file:
                file.write(self._authority)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        for host in self.hosts.values():
            host.close()

    def _called(self, connection: ssl.SSLObject, name: str, _: ssl.SSLContext) -> int | None:
        if name not in self.hosts:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        connection.called = name  # type: ignore[attr-defined]
        return None

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What arrives encrypted goes on to the host that was called, as it is."""
        host = self.hosts[writer.get_extra_info("ssl_object").called]
        port = urlsplit(host.url).port
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


class _Host(StandIn):
    """One name, with what lies below each of its paths."""

    def __init__(self, paths: Mapping[str, StandIn]) -> None:
        self._paths = dict(sorted(paths.items(), key=lambda item: len(item[0]), reverse=True))
        super().__init__(Path("/nowhere"))

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        for below, standin in self._paths.items():
            if path.startswith(f"{below}/") or path == below:
                reply = standin.answer(path[len(below) :], query)
                to = reply.headers.get("Location", "")
                if to.startswith("/"):
                    reply.headers["Location"] = below + to
                return reply
        return json_reply({"error": f"no {path}"}, 404, path)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # A client that hangs up is no error of the server's.
    finally:
        writer.close()


def _certified(names: list[str]) -> tuple[bytes, ssl.SSLContext]:
    """A new authority's certificate as PEM, and what a server needs that it vouches for."""
    signing, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the lab")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the hosts of the lab")])
    authority = (
        _certificate(issuer, signing.public_key(), issuer, signing.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_USAGE, critical=True)
        .sign(signing, hashes.SHA256())
    )
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    server = (
        _certificate(subject, key.public_key(), issuer, signing.public_key())
        .add_extension(alternatives, critical=False)
        .sign(signing, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with temporary.folder("modelrack-authority-") as folder:
        secret = key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = folder / "chain.pem"
        chain.touch(mode=0o600)
        chain.write_bytes(secret + server.public_bytes(pem))
        context.load_cert_chain(chain)
    return authority.public_bytes(pem), context


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    signing: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    identifier = x509.SubjectKeyIdentifier.from_public_key
    return (
        x509.CertificateBuilder()
        .add_extension(identifier(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing), critical=False)
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
    )
