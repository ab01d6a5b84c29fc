"""What a profile says of monitoring: who watches its machines, and whom to tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from deploys.planning.inputs.refusal import Refusal

Form = Literal["alertmanager", "dingtalk", "feishu", "wecom"]

_MAIL = re.compile(r"[^@\s\"']+@[^@\s\"']+")
_SMARTHOST = re.compile(r"[A-Za-z0-9.-]+:\d{1,5}")


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A group or a program that alerts are posted to.

    + url: file on the operator's computer with its address, which is a secret
    + form: what it reads: Alertmanager's own JSON, or the messages of a robot of DingTalk, Feishu
      or WeCom
    + secret: file on the operator's computer with what requests are signed with, where the robot
      of DingTalk or Feishu asks for that
    """

    url: Path
    form: Form = "alertmanager"
    secret: Path | None = None

    def __post_init__(self) -> None:
        if self.form not in get_args(Form):
            raise Refusal(
                f"Webhook: there is no form {self.form!r}",
                f"Write one of {', '.join(get_args(Form))}",
            )
        if self.secret and self.form not in ("dingtalk", "feishu"):
            raise Refusal(
                f"Webhook: nothing is signed in the form {self.form}", "Take secret out of it"
            )


@dataclass(frozen=True, kw_only=True)
class Mail:
    """Whom alerts are mailed to, and by whom.

    + to, sender: mail addresses
    + smarthost: the mail server, as host:port; it has to offer STARTTLS, or TLS on port 465
    + user: who signs in there; None: nobody has to
    + password: file on the operator's computer with the password of this user
    """

    to: str
    sender: str
    smarthost: str
    user: str | None = None
    password: Path | None = None

    def __post_init__(self) -> None:
        for name in ("to", "sender"):
            value = getattr(self, name)
            if not _MAIL.fullmatch(value):
                raise Refusal(
                    f"Mail: {name} {value!r} is no mail address", "Write one such as ops@ai.lab"
                )
        if not _SMARTHOST.fullmatch(self.smarthost):
            raise Refusal(
                f"Mail: smarthost {self.smarthost!r} is no host with a port",
                "Write one such as smtp.ai.lab:587",
            )
        if (self.user is None) != (self.password is None):
            raise Refusal(
                "Mail: user and password go together", "Give both, or leave both of them out"
            )


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """What watches a machine, with alerts and a page.

    + by: host of the inventory whose Prometheus watches, through the gateways; None: its own
    + viewers: users of the gateway's keys who may see the page
    + webhooks, mail: who is told of alerts
    + days: how long metrics are kept
    + interval: seconds between two looks; alerts wait for a number of looks, so this scales them
    + first_token: seconds within which 95 of 100 streams are to have begun
    """

    by: str | None = None
    viewers: tuple[str, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    mail: Mail | None = None
    days: int = 30
    interval: int = 15
    first_token: float = 10.0

    def __post_init__(self) -> None:
        if isinstance(self.viewers, str):
            raise Refusal(
                f"Monitoring: viewers is the text {self.viewers!r}, not names",
                f'Write viewers=("{self.viewers}",)',
            )
        for name, least, most in (("days", 1, 3650), ("interval", 1, 300)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise Refusal(
                    f"Monitoring: {name} is {value!r}",
                    f"Give a whole number from {least} to {most}",
                )
        if self.first_token <= 0:
            raise Refusal(f"Monitoring: first_token is {self.first_token}", "Give seconds above 0")
