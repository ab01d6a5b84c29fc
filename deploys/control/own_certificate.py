"""Certificates for the gateway that the site's CA has not signed: the operator's, or by ACME."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from deploys.planning.inputs.gateway import Acme, Certificate, is_address
from deploys.planning.inputs.refusal import Refusal


def read(certificate: Certificate, host: str) -> str:
    """Return chain and key as one text; raise Refusal if clients of `host` would refuse it."""
    chain_text, key_text = _text(certificate.chain), _text(certificate.key)
    try:
        chain = x509.load_pem_x509_certificates(chain_text.encode())
    except ValueError as error:
        raise Refusal(
            f"{certificate.chain} holds no certificate that can be read: {error}",
            "Write the certificate as PEM, and behind it those that lead to the root",
        ) from error
    try:
        key = serialization.load_pem_private_key(key_text.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise Refusal(
            f"{certificate.key} holds no private key that can be read",
            "Write it as PEM without a password: openssl pkey -in FILE -out FILE takes it away",
        ) from error
    _check(certificate, chain, host)
    if key.public_key() != chain[0].public_key():
        raise Refusal(
            f"{certificate.key} is not the key of {certificate.chain}",
            "Name the key that this certificate was asked for with",
        )
    return f"{chain_text.rstrip()}\n{key_text.rstrip()}\n"


def authorities(acme: Acme) -> str | None:
    """Return the authorities that systems do not know, as PEM; raise Refusal if that is none."""
    if acme.ca is None:
        return None
    text = _text(acme.ca)
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError as error:
        raise Refusal(
            f"{acme.ca} holds no certificate that can be read: {error}",
            "Write the authority's own certificate as PEM, or leave ca out if systems know it",
        ) from error
    return text


def is_good(chain: str, host: str) -> bool:
    """Return whether a certificate is for this host today, whoever has signed it."""
    try:
        found = x509.load_pem_x509_certificate(chain.encode())
    except ValueError:
        return False
    is_today = found.not_valid_before_utc <= datetime.now(timezone.utc) < found.not_valid_after_utc
    return is_today and any(_covers(name, host) for name in _names(found))


def _check(certificate: Certificate, chain: Sequence[x509.Certificate], host: str) -> None:
    first = chain[0]
    now = datetime.now(timezone.utc)
    if not first.not_valid_before_utc <= now < first.not_valid_after_utc:
        raise Refusal(
            f"{certificate.chain} is good from {first.not_valid_before_utc:%Y-%m-%d} to"
            f" {first.not_valid_after_utc:%Y-%m-%d}, and not today",
            "Have it renewed, or leave certificate out: then the site's CA signs one",
        )
    names = _names(first)
    if not any(_covers(name, host) for name in names):
        raise Refusal(
            f"{certificate.chain} is for {', '.join(names) or 'no name'}, and not for {host}",
            "Set host of the Gateway to one of its names, or have a certificate made for it",
        )
    for one, next_one in pairwise(chain):
        try:
            one.verify_directly_issued_by(next_one)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise Refusal(
                f"{certificate.chain}: {next_one.subject.rfc4514_string()} did not sign"
                f" {one.subject.rfc4514_string()}, which stands before it",
                "Write each certificate before the one that signed it",
            ) from error


def _text(path: Path) -> str:
    try:
        return path.expanduser().read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(
            f"{path} of the gateway's certificate cannot be read: {error}", "Name a PEM file"
        ) from error


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = found.get_values_for_type(x509.IPAddress)
    return [*found.get_values_for_type(x509.DNSName), *map(str, addresses)]


def _covers(name: str, host: str) -> bool:
    if is_address(host):
        return is_address(name) and ipaddress.ip_address(name) == ipaddress.ip_address(host)
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:].lower()
    return name.lower() == host
