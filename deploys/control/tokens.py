"""Secrets of the operator: tokens of hubs, and what alerts are told with, read from files here.

The site names the files of tokens, and Monitoring its own. A token is sent to its hub, and all of
them to machines as a file that only root can read. It appears on no
command line, in no log, in no lock and in no record of what is deployed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Hub, Site


def of(site: Site) -> dict[Hub, str]:
    """Return the token of each hub that the site names a file for.

    Raise Refusal if a file cannot be read or does not hold a token.
    """
    found: dict[Hub, str] = {}
    for hub, path in site.tokens.items():
        try:
            token = path.expanduser().read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Refusal(
                f"The token for {hub} cannot be read from {path}: {error.strerror}",
                f"Write it there, or take {hub} out of tokens of the site",
            ) from error
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise Refusal(
                f"{path} does not hold a token for {hub}", "Write one line with the token into it"
            )
        found[hub] = token
    return found


@dataclass(frozen=True)
class Secrets:
    """What monitoring tells people with.

    + webhooks: each with its url, its form, and what requests are signed with
    + password: of the user of the mail server
    """

    webhooks: tuple[dict[str, str | None], ...] = ()
    password: str = ""


def of_monitoring(wanted: Monitoring) -> Secrets:
    """Return what the files of monitoring hold; raise Refusal for one that holds nothing."""
    webhooks: list[dict[str, str | None]] = []
    for webhook in wanted.webhooks:
        url = _line(webhook.url, "the address of a webhook")
        if not url.startswith(("http://", "https://")):
            raise Refusal(
                f"{webhook.url} does not hold the address of a webhook",
                "Write one line with it, such as the robot's settings show it, into that file",
            )
        secret = _line(webhook.secret, "the secret of a webhook") if webhook.secret else None
        webhooks.append({"url": url, "form": webhook.form, "secret": secret})
    mail = wanted.mail
    password = _line(mail.password, "the password for mail") if mail and mail.password else ""
    return Secrets(tuple(webhooks), password)


def _line(path: Path, what: str) -> str:
    try:
        line = path.expanduser().read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Refusal(
            f"{path} is to hold {what}, and cannot be read: {error.strerror}",
            "Write it there as one line, or take it out of Monitoring",
        ) from error
    if not line or not line.isprintable():
        raise Refusal(f"{path} does not hold {what}", "Write one line with it into that file")
    return line
