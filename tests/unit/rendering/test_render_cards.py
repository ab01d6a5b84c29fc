"""A card says the same in both languages, names no key, and needs no other file as HTML."""

from __future__ import annotations

import ast
import json
import re
import shlex
from dataclasses import replace
from typing import Any

import pytest
import yaml

from deploys.planning.gateway.cards import ServedModel
from deploys.rendering import cards
from deploys.rendering.cards import CHINESE, ENGLISH, Trust
from tests.unit.rendering.card_examples import CARD, PUBLIC, SITE

LOCALES = pytest.mark.parametrize("locale", [ENGLISH, CHINESE])
CLIENTS = ("curl", "openai-python", "Chatbox", "Cherry Studio", "Page Assist", "Continue", "Dify")


def blocks(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        found.setdefault(language, []).append(block)
    return found


@LOCALES
def test_what_a_user_may_is_on_it(locale: str) -> None:
    text = cards.markdown(CARD, SITE, locale)
    for words in ("https://ai.lab/v1", "https://ai.lab/", "research", "60", "2,000,000", "65,536"):
        assert words in text
    for words in ("2027-01-31", "AB:CD", "DeepSeek-R1 FP8", "far-key", "site-ca.pem"):
        assert words in text


@LOCALES
def test_each_client_is_tried_or_from_documents(locale: str) -> None:
    headings = re.findall(r"^## (.*?)\s?[(（](.*)[)）]$", cards.markdown(CARD, SITE, locale), re.M)
    assert tuple(name for name, _ in headings) == CLIENTS
    tried, read = ("已实测", "据文档") if locale == CHINESE else ("tried", "from documents")
    assert [how for _, how in headings] == [tried] * 2 + [read] * 5


def test_both_languages_have_the_same_settings_and_tables() -> None:
    def parts(text: str) -> Any:
        spans = set(
            re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))
        )
        return (
            spans,
            [line.count("|") for line in text.splitlines() if "|" in line],
            len(blocks(text)["sh"]),
        )

    assert parts(cards.markdown(CARD, SITE, ENGLISH)) == parts(cards.markdown(CARD, SITE, CHINESE))


@LOCALES
@pytest.mark.parametrize("trust", [SITE, PUBLIC])
def test_what_is_to_be_pasted_can_be_read(locale: str, trust: Trust) -> None:
    found = blocks(cards.markdown(CARD, trust, locale))
    (settings,) = found["yaml"]
    first, second = yaml.safe_load(settings)["models"]
    assert first["apiBase"] == "https://ai.lab/v1"
    assert first["apiKey"] == "${{ secrets.MODELRACK_KEY }}"
    assert first["defaultCompletionOptions"] == {"contextLength": 65_536}
    assert "defaultCompletionOptions" not in second
    assert ("requestOptions" in first) == (trust is SITE)
    (program,) = found["python"]
    ast.parse(program)
    for command in found["sh"]:
        assert ("site-ca.pem" in shlex.split(command)) <= (trust is SITE)


@LOCALES
def test_each_task_has_its_own_call_and_no_program_for_chats_names_the_others(locale: str) -> None:
    more = (
        ServedModel(name="eyes", title="E", images=True),
        ServedModel(name="vec", title="V", task="embed"),
        ServedModel(name="rank", title="R", task="rerank"),
    )
    card = replace(CARD, models=(*CARD.models, *more))
    text = cards.markdown(card, PUBLIC, locale)
    found = blocks(text)
    called = {}
    for command in found["sh"]:
        words = shlex.split(command)
        if "-d" in words:
            (url,) = [word for word in words if word.startswith("https://")]
            called[url] = json.loads(words[words.index("-d") + 1])["model"]
    assert called == {
        "https://ai.lab/v1/chat/completions": "r1",
        "https://ai.lab/v1/embeddings": "vec",
        "https://ai.lab/v1/rerank": "rank",
    }
    (settings,) = found["yaml"]
    assert [each["name"] for each in yaml.safe_load(settings)["models"]] == ["r1", "far", "eyes"]
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if "| `" in line}
    assert len({rows[f"`{name}`"].split("|")[3] for name in ("r1", "eyes", "vec", "rank")}) == 4
    # Without a chat model there is no call of one.
    alone = cards.markdown(replace(CARD, models=more[1:]), PUBLIC, locale)
    assert "chat/completions" not in alone and "import OpenAI" not in alone


@LOCALES
def test_of_a_certificate_that_others_signed_nothing_is_to_be_installed(locale: str) -> None:
    text = cards.markdown(CARD, PUBLIC, locale)
    assert "site-ca.pem" not in text
    assert "CN=Example CA" in text


@LOCALES
def test_without_limits_and_a_chat_page_neither_is_named(locale: str) -> None:
    bare = replace(CARD, tokens_a_day=None, until=None, chat=False)
    text = cards.markdown(bare, SITE, locale)
    assert "https://ai.lab/`" not in text
    assert "2,000,000" not in text
    assert "None" not in text


@LOCALES
def test_the_page_needs_nothing_else(locale: str) -> None:
    page = cards.html(CARD, SITE, locale)
    assert f'<html lang="{locale}">' in page
    links = re.findall(r'(?:href|src)="([^"]+)"', page)
    assert links and all(link.startswith("data:application/x-pem-file;base64,") for link in links)
    assert "<link" not in page and "<script" not in page and "url(" not in page


@LOCALES
def test_a_title_is_text_whatever_stands_in_it(locale: str) -> None:
    odd = replace(CARD, models=(ServedModel(name="r1", title="<b>R1</b> | others"),))
    assert "<td>&lt;b&gt;R1&lt;/b&gt; | others</td>" in cards.html(odd, SITE, locale)


@pytest.mark.parametrize(
    ("locale", "found"),
    [("zh-CN", CHINESE), ("zh_TW", CHINESE), ("ZH", CHINESE), ("en-US", ENGLISH), ("de", ENGLISH)],
)
def test_a_language_that_there_is_none_of_is_english(locale: str, found: str) -> None:
    assert cards.language(locale) == found
