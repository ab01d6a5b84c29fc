"""A user's card and the certificates that it may name."""

from __future__ import annotations

from datetime import date

from deploys.planning.gateway.cards import ServedModel, UserCard
from deploys.rendering.cards import Trust

CARD = UserCard(
    host="ai.lab",
    user="alice",
    team="research",
    models=(
        ServedModel(name="r1", title="DeepSeek-R1 FP8", context=65_536),
        ServedModel(name="far", title="far-key"),
    ),
    rate=60,
    at_once=8,
    tokens_a_day=2_000_000,
    until=date(2027, 1, 31),
    chat=True,
)
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
SITE = Trust(fingerprint="AB:CD", issuer="CN=modelrack site CA", pem=PEM)
PUBLIC = Trust(fingerprint="AB:CD", issuer="CN=Example CA", pem=None)
