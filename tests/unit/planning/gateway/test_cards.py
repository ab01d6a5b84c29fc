"""What stands on a card: limits, models and ends, of one gateway or of several machines with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

from deploys.planning.gateway.cards import ServedModel, UserCard, cards
from deploys.planning.gateway.key import Key
from deploys.planning.gateway.plan import Backend, GatewayPlan
from deploys.planning.inputs.gateway import Chat

SERVED = {
    "r1": ServedModel(name="r1", title="DeepSeek-R1 FP8", context=65_536),
    "tiny": ServedModel(name="tiny", title="Tiny F16", context=512),
}


def key(user: str = "alice", **fields: Any) -> Key:
    return Key(**{"user": user, "team": "research", "sha256": "ab" * 32, **fields})


def plan(*keys: Key, services: tuple[str, ...] = ("r1", "tiny"), **fields: Any) -> GatewayPlan:
    backends = tuple(
        Backend(service=name, served=name, model=f"{name}-key", servers=()) for name in services
    )
    return GatewayPlan(
        **{"name": "gpu-01", "host": "ai.lab", "keys": keys, "backends": backends, **fields}
    )


def test_a_key_that_says_nothing_has_the_limits_of_the_gateway() -> None:
    (card,) = cards([plan(key(), rate=60, at_once=8)], SERVED)
    assert card == UserCard(
        host="ai.lab",
        user="alice",
        team="research",
        models=(SERVED["r1"], SERVED["tiny"]),
        rate=60,
        at_once=8,
        tokens_a_day=None,
        until=None,
        chat=False,
    )


def test_what_a_key_says_goes_before() -> None:
    limited = key(rate=5, at_once=1, tokens_a_day=1000, models=("tiny",), until=date(2027, 1, 31))
    (card,) = cards([plan(limited, chat=Chat(admin="a@ai.lab"))], SERVED)
    assert (card.rate, card.at_once, card.tokens_a_day) == (5, 1, 1000)
    assert card.models == (SERVED["tiny"],)
    assert (card.until, card.chat) == (date(2027, 1, 31), True)


def test_of_two_keys_of_a_user_the_one_that_is_good_longest_counts() -> None:
    old, new = key(until=date(2027, 1, 31)), key(until=date(2027, 2, 28), sha256="cd" * 32)
    (card,) = cards([plan(old, new)], SERVED)
    assert card.until == date(2027, 2, 28)
    (card,) = cards([plan(old, replace(new, until=None))], SERVED)
    assert card.until is None


def test_machines_with_one_gateway_give_one_card_with_the_models_of_both() -> None:
    both = [plan(key(), services=("r1",)), plan(key(), services=("tiny",), name="gpu-02")]
    (card,) = cards(both, SERVED)
    assert [model.name for model in card.models] == ["r1", "tiny"]


def test_a_model_that_no_machine_of_the_run_serves_is_named_all_the_same() -> None:
    (card,) = cards([plan(key(), services=("far",))], SERVED)
    assert card.models == (ServedModel(name="far", title="far-key"),)


def test_a_machine_that_only_others_ask_has_no_cards() -> None:
    assert cards([plan(key(), host=None)], SERVED) == []


def test_an_address_of_ipv6_is_a_url_in_brackets() -> None:
    (card,) = cards([plan(key(), host="fd00::5")], SERVED)
    assert card.url == "https://[fd00::5]"
