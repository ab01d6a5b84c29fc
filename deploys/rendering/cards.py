"""A user's card as Markdown, and as one HTML file that needs no other."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from markdown_it import MarkdownIt

from deploys.planning.gateway.cards import UserCard
from deploys.rendering.templates import text

ENGLISH, CHINESE = "en-US", "zh-CN"
# The file beside the Markdown; the HTML has it inside.
SITE_CA = "site-ca.pem"


@dataclass(frozen=True, kw_only=True)
class Trust:
    """The certificate that a client has to trust.

    + fingerprint: its SHA-256, as openssl prints it; None: it is another every few weeks
    + issuer: who has signed it
    + pem: what is to be installed, where the site signs, or an authority that systems do not know;
      None: another has signed it, whom systems may know
    """

    fingerprint: str | None
    issuer: str
    pem: str | None


def language(locale: str) -> str:
    """Return the language of a card: Chinese for its locales, English for all others."""
    return CHINESE if locale.lower().startswith("zh") else ENGLISH


def markdown(card: UserCard, trust: Trust, locale: str) -> str:
    """Return the card as Markdown."""
    return text(f"cards/{language(locale)}.md", card=card, trust=trust)


def html(card: UserCard, trust: Trust, locale: str) -> str:
    """Return the card as a page to be opened in a browser or printed."""
    body = (
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .render(markdown(card, trust, locale))
    )
    if trust.pem:
        content = base64.b64encode(trust.pem.encode()).decode()
        inside = f'download="{SITE_CA}" href="data:application/x-pem-file;base64,{content}"'
        body = body.replace(f'href="{SITE_CA}"', inside)
    return text("cards/page.html", card=card, body=body, language=language(locale))
