"""What signs the certificates of a site: a CA of its own, in a folder of the operator's computer.

It is made once. Who has its key can pretend to be any machine of the site, so the folder is for the
operator alone; a second operator needs a copy of it, or every run would sign anew.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from filelock import FileLock

from deploys.control.replaced import replace
from deploys.planning.inputs.gateway import is_address
from deploys.planning.inputs.refusal import Refusal

# Browsers of Apple take no longer one.
_DAYS, _DAYS_OF_CA = 397, 3650
# What has less than this is signed anew.
RENEW = timedelta(days=30)


@dataclass(frozen=True)
class Authority:
    """The CA of a site."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        """The certificate that clients trust, as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, request: str, name: str, names: Sequence[str]) -> str:
        """Return a certificate for the key of a request, as PEM.

        + name: who it is for
        + names: DNS names and IP addresses; those of the request itself count for nothing
        """
        asked = x509.load_pem_x509_csr(request.encode())
        if not asked.is_signature_valid:
            raise ValueError("the request is not signed by its own key")
        key = asked.public_key()
        made = (
            _builder(name, _DAYS)
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(_alternatives(names)), critical=False)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
            .sign(self.key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM).decode()

    def has_signed(self, chain: str) -> bool:
        """Return whether a certificate is of this CA."""
        try:
            x509.load_pem_x509_certificate(chain.encode()).verify_directly_issued_by(
                self.certificate
            )
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def is_good(self, chain: str, name: str, names: Sequence[str]) -> bool:
        """Return whether a certificate is of this CA, for these names, and good for a while."""
        if not self.has_signed(chain):
            return False
        found = x509.load_pem_x509_certificate(chain.encode())
        # It has one: we have signed it.
        there = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return (
            found.subject == _subject(name)
            and [*there] == _alternatives(names)
            and found.not_valid_after_utc - RENEW > datetime.now(timezone.utc)
        )


def authority(secrets: Path) -> Authority:
    """Return the CA of a site, which is made where there is none.

    + secrets: folder of the operator's computer, as the site names it
    """
    folder = secrets.expanduser()
    certificate, key = folder / "site-ca.pem", folder / "site-ca.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(folder / ".lock"):
            # The certificate comes last, so that where it is its key is, too.
            if not certificate.exists():
                _make(certificate, key)
            return _read(certificate, key)
    except OSError as error:
        raise Refusal(
            f"What signs this site's certificates is not to be had: {error}",
            "Put it there again from its copy, or set secrets of the site to another folder",
        ) from error


def _make(certificate: Path, key: Path) -> None:
    made = ec.generate_private_key(ec.SECP256R1())
    signed = (
        _builder("modelrack site CA", _DAYS_OF_CA)
        .issuer_name(_subject("modelrack site CA"))
        .public_key(made.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(made.public_key()), critical=False)
        .sign(made, hashes.SHA256())
    )
    private = made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    replace(key, private, mode=0o600)
    replace(certificate, signed.public_bytes(serialization.Encoding.PEM), mode=0o600)


def _read(certificate: Path, key: Path) -> Authority:
    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise OSError(f"{certificate} and {key} cannot be read: {error}") from error
    if not isinstance(private, ec.EllipticCurvePrivateKey) or (
        private.public_key() != read.public_key()
    ):
        raise OSError(f"{key} is not the key of {certificate}")
    return Authority(read, private)


def _builder(name: str, days: int) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .serial_number(x509.random_serial_number())
        # Clocks of clients may be late.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days - 1))
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _alternatives(names: Sequence[str]) -> list[x509.GeneralName]:
    return [
        x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name)
        for name in names
    ]


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
