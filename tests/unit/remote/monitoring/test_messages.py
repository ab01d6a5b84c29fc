"""Alerts as the messages that robots of groups post, and what they answer."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from deploys.remote.monitoring import messages
from tests.monitoring.told import SECRET, _dingtalk, _feishu, _wecom


def alert(name: str, status: str = "firing") -> dict[str, Any]:
    return {
        "status": status,
        "labels": {"alertname": name},
        "annotations": {"summary": f"{name} is so", "todo": "Look at it"},
    }


def told(*alerts: dict[str, Any]) -> dict[str, Any]:
    return {"version": "4", "alerts": [*alerts]}


def body(form: str, *alerts: dict[str, Any], now: float = 1e9) -> tuple[str, dict[str, Any]]:
    secret = SECRET if form in ("dingtalk", "feishu") else None
    url, sent = messages.request(form, "https://x/send?token=1", secret, told(*alerts), now)
    return url, json.loads(sent)


def test_each_form_is_taken_by_what_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.monitoring.told.time.time", lambda: 1e9)
    url, sent = body("dingtalk", alert("CardLost"))
    assert _dingtalk(sent, parse_qs(urlsplit(url).query)) == ""
    assert parse_qs(urlsplit(url).query)["token"] == ["1"]
    assert "Firing: CardLost" in sent["markdown"]["title"]
    assert "CardLost is so" in sent["markdown"]["text"] and "Look at it" in sent["markdown"]["text"]
    _, sent = body("feishu", alert("CardLost", "resolved"))
    assert _feishu(sent) == ""
    assert sent["content"]["text"] == "Over: CardLost\n- over: CardLost is so"
    _, sent = body("wecom", *(alert(f"Long{'x' * 200}{n}") for n in range(60)))
    assert _wecom(sent) == ""
    url, sent = body("alertmanager", alert("CardLost"))
    assert (url, sent) == ("https://x/send?token=1", told(alert("CardLost")))


def test_a_chinese_message_is_cut_between_letters() -> None:
    _, sent = body("wecom", {**alert("x"), "annotations": {"summary": "卡" * 5000}})
    assert 0 < len(sent["markdown"]["content"].encode()) <= 4096


@pytest.mark.parametrize(
    ("form", "answer", "said"),
    [
        ("dingtalk", b'{"errcode":0,"errmsg":"ok"}', ""),
        ("dingtalk", b'{"errcode":310000,"errmsg":"sign not match"}', "310000: sign not match"),
        ("feishu", b'{"code":0,"msg":"success"}', ""),
        ("feishu", b'{"StatusCode":0,"StatusMessage":"success"}', ""),
        ("feishu", b'{"code":19021,"msg":"sign match fail"}', "19021: sign match fail"),
        ("wecom", b'{"errcode":93000,"errmsg":"invalid webhook"}', "93000: invalid webhook"),
        ("wecom", b"<html>", "it answers with no JSON"),
        ("alertmanager", b"", ""),
    ],
)
def test_an_answer_says_whether_it_was_taken(form: str, answer: bytes, said: str) -> None:
    assert messages.refusal(form, answer) == said
