"""What a profile says of the gateway: the one address at which a team reaches its models."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from deploys.planning.inputs.refusal import Refusal

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MAIL = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate of the operator's own, as PEM files on the operator's computer.

    + chain: the certificate and those that lead to the root, in this order
    + key: its private key, without a password
    """

    chain: Path
    key: Path


@dataclass(frozen=True, kw_only=True)
class Acme:
    """A certificate that the machine asks for by itself, and renews, as of Let's Encrypt.

    + directory: URL of the authority's directory; None: `acme` of the site's mirrors
    + email: where the authority may write to
    + ca: PEM file on the operator's computer with the authorities that systems do not know: who
      vouches for that URL, and who signs; None: systems know them
    """

    directory: str | None = None
    email: str | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        if self.directory is not None and not re.fullmatch(r"https://[^\s\"'\\]+", self.directory):
            raise Refusal(
                f"Acme: directory {self.directory!r} is no address that begins with https://",
                "Write the URL of the authority's directory, or leave it out: then it is acme of"
                " the site's mirrors",
            )
        if self.email is not None and not _MAIL.fullmatch(self.email):
            raise Refusal(
                f"Acme: {self.email!r} is no mail address", "Write one such as admin@ai.lab"
            )


@dataclass(frozen=True, kw_only=True)
class Chat:
    """The chat page behind the gateway.

    + admin: mail address of its first administrator
    + locale: its language, such as "zh-CN"
    + rate, at_once: what all its users together may ask of the models, as in Gateway
    """

    admin: str
    locale: str = "en-US"
    rate: int = 600
    at_once: int = 64

    def __post_init__(self) -> None:
        if not _MAIL.fullmatch(self.admin):
            raise Refusal(
                f"Chat: {self.admin!r} is no mail address of an administrator",
                "Write one such as admin@ai.lab; no mail is sent to it",
            )
        if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,4}){0,2}", self.locale):
            raise Refusal(
                f"Chat: {self.locale!r} is no language", "Write one such as zh-CN or en-US"
            )
        _check_limits("Chat", rate=self.rate, at_once=self.at_once)


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """One door to the models of a machine, and of others: TLS, keys, limits, usage.

    + host: DNS name or IP address that clients type
    + certificate: the operator's own, or one by ACME; None: the site's CA signs one for `host`
    + chat: the chat page; None: the API alone
    + keys: file on the operator's computer that says who may ask (python -m deploys.keys)
    + rate, at_once: requests a minute and at the same time, of users whose key says nothing else
    + also: other hosts of the inventory whose services answer here, too
    + drained: services, or hosts of the inventory, that get no new requests
    """

    host: str
    certificate: Certificate | Acme | None = None
    chat: Chat | None = None
    keys: Path = Path("inventories/keys.toml")
    rate: int = 60
    at_once: int = 8
    also: tuple[str, ...] = ()
    drained: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (is_address(self.host) or _NAME.fullmatch(self.host)) or len(self.host) > 64:
            raise Refusal(
                f"Gateway: host {self.host!r} is neither a DNS name in lower case nor an address",
                "Write what clients type behind https://, such as ai.lab or 10.8.0.5",
            )
        if isinstance(self.certificate, Acme) and is_address(self.host):
            raise Refusal(
                f"Gateway: no certificate for the address {self.host} is to be had by ACME",
                "Set host to a DNS name that leads to the machine, or leave certificate out: then"
                " the site's CA signs one for the address",
            )
        for field, value in (("also", self.also), ("drained", self.drained)):
            if isinstance(value, str):
                raise Refusal(
                    f"Gateway: {field} is the text {value!r}, not names",
                    f'Write {field}=("{value}",)',
                )
        _check_limits("Gateway", rate=self.rate, at_once=self.at_once)


def is_address(host: str) -> bool:
    """Return whether a host is given by its IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _check_limits(what: str, **limits: int) -> None:
    for name, value in limits.items():
        if value < 1:
            raise Refusal(f"{what}: {name} is {value}", "Give a number from 1 up")
