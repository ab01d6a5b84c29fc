"""deploys/cards.py: who gets a card, where it lies, and what is refused before any is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploys.control import authority, keys
from deploys.planning.gateway.key import Key
from deploys.planning.gateway.keys import made, sha256
from tests.plans.simulated import MACHINES
from tests.unit.control.clients.fake_run import run

CA = "site-ca.pem"
WELL = {"modelrack-facts-machine": json.dumps(MACHINES["cpu"])}


def data(folder: Path, more: str = "") -> str:
    return f"""
from dataclasses import replace
from pathlib import Path
from deploys.planning.inputs.gateway import Acme, Certificate, Chat, Gateway
from deploys.planning.inputs.site import Site
site = Site(secrets=Path({str(folder / "secrets")!r}))
profile = replace(profile, gateway=Gateway(
    host="ai.lab", keys=Path({str(folder / "keys.toml")!r}), {more}
))
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with the site's CA and two users."""
    authority.authority(tmp_path / "secrets")
    for user in ("alice", "bob"):
        keys.add(tmp_path / "keys.toml", Key(user=user, team="research", sha256=sha256(made())))
    return tmp_path


def test_each_user_gets_both_forms_and_the_certificate_lies_beside_them(site: Path) -> None:
    cards = site / "handed" / "out"
    options = ("--data", f"folder={cards}")
    done = run(site, "deploys/cards.py", {"a": WELL, "b": WELL}, *options, data=data(site))
    assert done.returncode == 0, done.stderr
    names = {"alice.md", "alice.html", "bob.md", "bob.html", "site-ca.pem"}
    assert {path.name for path in (cards / "ai.lab").iterdir()} == names
    pem = (site / "secrets" / "site-ca.pem").read_text()
    assert (cards / "ai.lab" / "site-ca.pem").read_text() == pem
    assert "# How bob reaches ai.lab" in (cards / "ai.lab" / "bob.md").read_text()
    before = {path: path.read_bytes() for path in (cards / "ai.lab").iterdir()}
    run(site, "deploys/cards.py", {"a": WELL}, *options, data=data(site))
    assert before == {path: path.read_bytes() for path in (cards / "ai.lab").iterdir()}
    # The one service of the class, by the name that clients say, with what it is.
    assert (
        "| `deepseek-r1-7b` | DeepSeek-R1-Distill-Qwen-7B"
        in (cards / "ai.lab" / "bob.md").read_text()
    )


@pytest.mark.parametrize(
    ("more", "options", "language"),
    [
        ('chat=Chat(admin="a@b", locale="zh-CN")', (), "zh-CN"),
        ('chat=Chat(admin="a@b", locale="zh-CN")', ("--data", "locale=en"), "en-US"),
        ("", ("--data", "locale=zh-CN"), "zh-CN"),
        ("", (), "en-US"),
    ],
)
def test_the_language_is_that_of_the_chat_page_or_what_is_asked_for(
    site: Path, more: str, options: tuple[str, ...], language: str
) -> None:
    where = ("--data", f"folder={site / 'cards'}")
    done = run(site, "deploys/cards.py", {"a": WELL}, *where, *options, data=data(site, more))
    assert done.returncode == 0, done.stderr
    page = (site / "cards" / "ai.lab" / "alice.html").read_text()
    assert f'<html lang="{language}">' in page


def test_a_certificate_by_acme_needs_no_file_unless_one_is_named(site: Path) -> None:
    for ca, files in (("", set()), (f"ca=Path({str(site / 'secrets/site-ca.pem')!r})", {CA})):
        more = f"certificate=Acme({ca})"
        where = ("--data", f"folder={site / 'cards'}")
        done = run(site, "deploys/cards.py", {"a": WELL}, *where, data=data(site, more))
        assert done.returncode == 0, done.stderr
        card = (site / "cards" / "ai.lab" / "bob.md").read_text()
        assert (f"[{CA}]({CA})" in card) == bool(files) == ("SHA-256" in card)
        assert {path.name for path in (site / "cards" / "ai.lab").glob("*.pem")} == files
    assert "letsencrypt" not in card


def refused(site: Path, text: str, data: str = "", folder: str = "cards") -> None:
    where = ("--data", f"folder={site / folder}")
    done = run(site, "deploys/cards.py", {"a": WELL}, *where, data=data)
    assert done.returncode == 1
    assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert not [*site.glob("cards/*")]


def test_without_a_gateway_there_is_nothing_to_write(site: Path) -> None:
    refused(site, "refused: No profile of this inventory has a gateway")


def test_a_site_without_its_ca_is_told_what_makes_it(site: Path) -> None:
    (site / "secrets" / "site-ca.pem").unlink()
    refused(site, "made by the first deploys/full.py", data(site))


def test_keys_that_cannot_be_read_are_refused(site: Path) -> None:
    (site / "keys.toml").write_text("[[key]]\nuser = 1\n")
    refused(site, "keys.toml, key 1: 1 cannot name a user", data(site))


def test_a_folder_that_cannot_be_made_is_refused(site: Path) -> None:
    refused(site, "Name another folder: --data folder=cards", data(site), folder="keys.toml/cards")
