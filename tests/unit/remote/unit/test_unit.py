"""What a unit says of itself: its serial number, its card, its certificate."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.unit import card, identity, settings

DOOR = {"host": "models.lab", "user": "owner", "team": "appliance"}


@pytest.mark.parametrize(
    "files, serial",
    [
        ({"product_serial": "MR-0001\n"}, "MR-0001"),
        ({"product_serial": "To be filled by O.E.M.\n", "board_serial": "B7\n"}, "B7"),
        ({"product_serial": "0000000\n", "board_serial": "Default string\n"}, None),
        ({"product_serial": "Not Specified\n"}, None),
        ({}, None),
    ],
)
def test_a_serial_number_that_nobody_filled_in_is_none(
    tmp_path: Path, files: dict[str, str], serial: str | None
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    assert settings.serial(tmp_path) == serial


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(settings, "KEY", tmp_path / "key")
    monkeypatch.setattr(card.network, "own", lambda: ["10.0.0.7", "fd00::7"])
    settings.KEY.write_text("mr-secret\n")
    return "mr-secret"


FOUND: dict[str, Any] = {
    "hostname": "rack-mr-0001",
    "serial": "MR-0001",
    "services": {"r1": "answers"},
    "problems": [],
    "certificate": "ab" * 32,
    "host_key": "SHA256:x",
}


def test_the_card_of_a_unit_that_is_ready_says_how_to_reach_it(key: str) -> None:
    text = "\n".join(card.lines({"gateway": DOOR}, FOUND))
    assert "rack-mr-0001, serial number MR-0001: ready" in text
    assert "https://10.0.0.7/v1  https://[fd00::7]/v1" in text
    assert "models: r1" in text and key in text and "ab" * 32 in text


def test_the_page_says_it_too_to_anybody_and_so_without_the_key(key: str) -> None:
    text = card.page({**FOUND, "services": {"r1<b>": "answers"}})
    assert "rack-mr-0001, serial number MR-0001: ready" in text
    assert "https://10.0.0.7/v1" in text and "ab" * 32 in text and "r1&lt;b&gt;" in text
    assert key not in text and "is on its console" in text
    failed = card.page({**FOUND, "problems": ["/data/models/r1 is damaged"]})
    assert "NOT READY" in failed and "is on its console" in failed
    assert "/data" not in failed and key not in failed


def test_the_card_of_a_unit_that_fails_says_what_is_wrong_and_no_key(key: str) -> None:
    problem = "llama-server@r1.service does not start: model.gguf is damaged"
    text = "\n".join(card.lines({"gateway": DOOR}, {**FOUND, "problems": [problem]}))
    assert "NOT READY" in text and problem in text
    assert key not in text


def test_without_a_gateway_nobody_is_sent_there(key: str) -> None:
    text = "\n".join(card.lines({"gateway": None}, FOUND))
    assert "https" not in text and key not in text and "r1" in text


def test_the_certificate_names_the_unit_and_its_serial_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Group:
        gr_gid = -1

    monkeypatch.setattr(identity.grp, "getgrnam", lambda name: Group)
    told = {
        **DOOR,
        "group": "g",
        "folder": str(tmp_path),
        "certificate": str(tmp_path / "gateway.pem"),
    }
    identity._gateway(told, "rack-mr-0001", "MR-0001", "mr-secret")
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-subject", "-ext", "subjectAltName"],
        input=(tmp_path / "gateway.pem").read_text(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "rack-mr-0001" in shown and "MR-0001" in shown
    assert "DNS:models.lab" in shown and "IP Address:127.0.0.1" in shown
    digest, user = (tmp_path / "keys.map").read_text().split()
    assert (len(digest), user) == (64, "owner")
    assert "mr-secret" not in (tmp_path / "keys.map").read_text()
    before = (tmp_path / "gateway.pem").read_bytes()
    identity._gateway(told, "rack-mr-0001", "MR-0001", "mr-secret")
    assert (tmp_path / "gateway.pem").read_bytes() == before
