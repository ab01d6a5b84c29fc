"""Whether a certificate is due, and how it comes; openssl is real, the client a script."""

from __future__ import annotations

import base64
import grp
import io
import json
import os
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from deploys.remote.gateway import acme, acme_account
from deploys.remote.lib.failure import Failure

# RFC 7638, 3.1: a key and its thumbprint.
MODULUS = (
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK"
    "RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMic"
    "AtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3"
    "XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
)
THUMBPRINT = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
DAY = timedelta(days=1)


class Place:
    """Folders of a machine, and programs that stand before the real ones."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        (folder / "bin").mkdir()
        (folder / "account.key").write_text("the account's")
        self.settings: dict[str, Any] = {
            "directory": "https://acme.lab/dir",
            "email": "a@ai.lab",
            "host": "ai.lab",
            "certificate": str(folder / "gateway.pem"),
            "group": grp.getgrgid(os.getgid()).gr_name,
            "unit": "a.service",
            "request": str(folder / "request.csr"),
            "record": str(folder / "acme.json"),
        }
        monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
        self.program("systemctl", f'echo "$@" >> {folder}/told')

    def program(self, name: str, script: str) -> None:
        """Let this be what a program does."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def signs(self, before: timedelta = DAY, after: timedelta = 89 * DAY) -> None:
        """The client gets a certificate that is good since, and for as long."""
        self.program(
            "acme-tiny",
            f'echo "$@" >> {self.folder}/asked; cp {self.folder}/request.csr {self.folder}/signed;'
            f" {sys.executable} -c 'import sys; from tests.unit.remote.gateway.test_acme import"
            f" sign; sign(*sys.argv[1:])' {self.folder} {before.total_seconds()}"
            f" {after.total_seconds()}",
        )

    def steps(self) -> None:
        """All of the unit."""
        for step in ("request", "ask", "accept"):
            acme.run(step, self.settings)

    def asked(self) -> list[str]:
        """How the client was called, each time."""
        path = self.folder / "asked"
        return path.read_text().splitlines() if path.exists() else []


def sign(folder: str, before: str, after: str) -> None:
    """Print a certificate for the request in a folder."""
    request = x509.load_pem_x509_csr(Path(folder, "request.csr").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(request.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(seconds=float(before)))
        .not_valid_after(now + timedelta(seconds=float(after)))
        .add_extension(names.value, critical=True)
        .sign(key, hashes.SHA256())
    )
    print(made.public_bytes(serialization.Encoding.PEM).decode(), end="")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_a_thumbprint_is_that_of_the_standard() -> None:
    modulus = base64.urlsafe_b64decode(MODULUS + "==")
    assert acme_account.thumbprint(modulus) == THUMBPRINT
    # As openssl prints one whose first bit is set.
    assert acme_account.thumbprint(b"\0" + modulus) == THUMBPRINT


def test_an_account_has_one_key_for_ever(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    key, known = place.folder / "acme.key", place.folder / "acme.map"
    words = ["acme_account.py", str(key), str(known), place.settings["group"]]
    monkeypatch.setattr(sys, "argv", words)
    found = []
    for _ in range(2):
        assert acme_account.main() == 0
        found.append((key.read_text(), known.read_text()))
        assert (key.stat().st_mode & 0o777, known.stat().st_mode & 0o777) == (0o600, 0o640)
        known.unlink()
    assert found[0] == found[1]
    assert found[0][1].startswith("thumbprint ") and "PRIVATE" in found[0][0]


def test_a_certificate_comes_is_taken_over_and_is_not_asked_for_again(place: Place) -> None:
    place.signs()
    assert acme.is_due(place.settings)
    place.steps()
    path = Path(place.settings["certificate"])
    text = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    assert text.count("BEGIN CERTIFICATE") == 1 and text.count("PRIVATE KEY") == 2
    (asked,) = place.asked()
    assert "--directory-url https://acme.lab/dir --contact mailto:a@ai.lab" in asked
    assert f"--account-key {place.folder}/account.key" in asked
    assert (place.folder / "told").read_text() == "try-reload-or-restart a.service\n"
    names = x509.load_pem_x509_csr((place.folder / "signed").read_bytes())
    assert "ai.lab" in str(names.extensions) and names.subject.rdns == []
    (place.folder / "chain.pem").unlink()
    place.steps()
    assert len(place.asked()) == 1 and path.read_text() == text
    assert [*place.folder.glob(".*")] == [] and not Path(place.settings["request"]).exists()


@pytest.mark.parametrize(
    ("before", "after", "due"),
    [
        (DAY, 89 * DAY, False),
        (59 * DAY, 31 * DAY, False),
        (61 * DAY, 29 * DAY, True),
        (timedelta(hours=15), timedelta(hours=9), False),
        (DAY, -DAY / 2, True),
    ],
)
def test_it_is_due_when_a_third_of_its_time_is_left(
    place: Place, before: timedelta, after: timedelta, due: bool
) -> None:
    place.signs(before, after)
    place.steps()
    assert acme.is_due(place.settings) is due


@pytest.mark.parametrize("what", ["directory", "host", "certificate", "record"])
def test_another_authority_host_or_certificate_is_a_reason_to_ask(
    place: Place, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place.signs()
    place.steps()
    if what == "certificate":
        before = Path(place.settings[what]).read_text()
        Path(place.settings["record"]).unlink()
        place.steps()
        assert not acme.is_due(place.settings)
        Path(place.settings[what]).write_text(before)
    elif what == "record":
        Path(place.settings[what]).write_text("{")
    else:
        place.settings[what] += "x"
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(place.settings)))
    assert acme.main() == 0
    assert capsys.readouterr().out == "true\n"


SAID = """\
Parsing account key...
Traceback (most recent call last):
  File "/usr/bin/acme-tiny", line 33, in <module>
ValueError: Error getting directory:
Url: https://acme.lab/dir
Data: None
Response Code: None
Response: <urlopen error [Errno 111] Connection refused>
"""


def test_of_an_authoritys_answer_what_it_says_to_people_is_told() -> None:
    said = (
        "ValueError: Challenge did not pass for ai.lab: {'status': 'invalid', 'challenges':"
        " [{'error': {'detail': 'did not match \"x\"', 'status': 403}}]}\n"
    )
    assert acme._reason(said) == 'Challenge did not pass for ai.lab: did not match "x"'


def test_a_failure_says_why_and_leaves_what_is_there(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.signs(61 * DAY, 29 * DAY)
    place.steps()
    (place.folder / "chain.pem").unlink()
    before = Path(place.settings["certificate"]).read_text()
    place.program("acme-tiny", f"cat >&2 <<'.'\n{SAID}.\nexit 1")
    acme.run("request", place.settings)
    with pytest.raises(Failure) as failed:
        acme.run("ask", place.settings)
    assert str(failed.value) == (
        "ai.lab gets no certificate from https://acme.lab/dir: Error getting directory:"
        " Url: https://acme.lab/dir Response Code: None"
        " Response: <urlopen error [Errno 111] Connection refused>"
    )
    assert SAID in capsys.readouterr().err
    assert Path(place.settings["certificate"]).read_text() == before


@pytest.mark.parametrize("what", ["another key's", "a link"])
def test_what_is_not_for_the_machines_key_is_not_taken(place: Place, what: str) -> None:
    place.signs()
    acme.run("request", place.settings)
    acme.run("ask", place.settings)
    chain = place.folder / "chain.pem"
    if what == "a link":
        chain.rename(place.folder / "elsewhere")
        chain.symlink_to(place.folder / "elsewhere")
    else:
        acme.run("request", place.settings)
    with pytest.raises((Failure, OSError)):
        acme.run("accept", place.settings)
    assert not Path(place.settings["certificate"]).exists()
    assert not (place.folder / "told").exists()
