"""What Alertmanager tells of alerts, as the message that a robot of a group posts.

Sources: DingTalk, "Custom robot access"; Feishu, "Custom bot usage guide"; WeCom, "Group robot".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

# Bytes of a message that WeCom takes as Markdown; the others take more.
_MOST = 4096


def request(
    form: str, url: str, secret: str | None, told: Mapping[str, Any], now: float
) -> tuple[str, bytes]:
    """Return where a message is posted, and its body.

    + told: what Alertmanager posts to a webhook
    + secret: what the request is signed with; None: it is not
    """
    if form == "alertmanager":
        return url, json.dumps(told).encode()
    title, text = _title(told), _text(told)
    body: dict[str, Any]
    if form == "dingtalk":
        if secret:
            stamp = str(round(now * 1000))
            sign = _signed(secret.encode(), f"{stamp}\n{secret}".encode())
            url = f"{url}{'&' if '?' in url else '?'}timestamp={stamp}&sign={quote_plus(sign)}"
        body = {"msgtype": "markdown", "markdown": {"title": title, "text": f"### {title}\n{text}"}}
    elif form == "feishu":
        body = {"msg_type": "text", "content": {"text": f"{title}\n{text}"}}
        if secret:
            stamp = str(int(now))
            # Its key is what others sign, and it signs nothing.
            body |= {"timestamp": stamp, "sign": _signed(f"{stamp}\n{secret}".encode(), b"")}
    else:
        body = {"msgtype": "markdown", "markdown": {"content": _cut(f"### {title}\n{text}")}}
    return url, json.dumps(body).encode()


def refusal(form: str, answer: bytes) -> str:
    """Return why a robot has not taken a message; "" if it has: all of them answer 200."""
    if form == "alertmanager":
        return ""
    try:
        said = json.loads(answer)
    except ValueError:
        return "it answers with no JSON"
    code = said.get("errcode", said.get("code", said.get("StatusCode", 0)))
    return "" if code == 0 else f"{code}: {said.get('errmsg') or said.get('msg') or ''}"


def _title(told: Mapping[str, Any]) -> str:
    alerts = told["alerts"]
    firing = [alert for alert in alerts if alert["status"] == "firing"]
    names = sorted({alert["labels"]["alertname"] for alert in firing or alerts})
    return f"{'Firing' if firing else 'Over'}: {', '.join(names)}"


def _text(told: Mapping[str, Any]) -> str:
    lines = []
    for alert in told["alerts"]:
        notes = alert["annotations"]
        firing = alert["status"] == "firing"
        lines.append(f"- {'' if firing else 'over: '}{notes.get('summary', '')}")
        if firing and notes.get("todo"):
            lines.append(f"  {notes['todo']}")
    return "\n".join(lines)


def _cut(text: str) -> str:
    """Return as much as there is room for, in whole lines."""
    while len(text.encode()) > _MOST:
        text = text[: text.rindex("\n")] if "\n" in text else text[: _MOST // 4]
    return text


def _signed(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()
