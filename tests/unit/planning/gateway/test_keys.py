"""The keys file: what it says, and the one sentence about what is wrong with it."""

from __future__ import annotations

from datetime import date

import pytest

from deploys.planning.gateway import keys
from deploys.planning.gateway.key import Key
from deploys.planning.inputs.refusal import Refusal

ONE, TWO = "1" * 64, "2" * 64


def entry(user: str = "alice", digest: str = ONE, more: str = "") -> str:
    return f'[[key]]\nuser = "{user}"\nteam = "research"\nsha256 = "{digest}"\n{more}\n'


def test_a_key_is_what_its_entry_says() -> None:
    more = 'rate = 30\nat_once = 4\ntokens_a_day = 2_000_000\nmodels = ["r1"]\nuntil = 2027-01-31'
    assert keys.parse(entry(more=more), "keys.toml") == (
        Key(
            user="alice",
            team="research",
            sha256=ONE,
            rate=30,
            at_once=4,
            tokens_a_day=2_000_000,
            models=("r1",),
            until=date(2027, 1, 31),
        ),
    )
    assert keys.parse("", "keys.toml") == ()


def test_a_user_may_have_two_while_one_takes_the_place_of_the_other() -> None:
    text = entry(more="until = 2027-01-31") + entry(digest=TWO)
    assert [key.sha256 for key in keys.parse(text, "keys.toml")] == [ONE, TWO]


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ("[[key]", "keys.toml is not TOML", "new USER TEAM"),
        ('[[keys]]\nuser = "a"', "there is no setting keys", "[[key]]"),
        ('[key]\nuser = "a"', "is not a list", "[[key]]"),
        (entry(user="b b"), "key 1: 'b b' cannot name a user", "letters"),
        (entry(user="open-webui"), "is the chat page", "another name"),
        (entry(more="speed = 3"), "key 1 (alice): there is no setting speed", "tokens_a_day"),
        (entry(digest="mr-secret"), "sha256 is not 64", "make a key with"),
        (entry(digest="A" * 64), "sha256 is not 64", "make a key with"),
        (entry(more="rate = 0"), "rate is 0", "from 1 up"),
        (entry(more="rate = true"), "rate is True", "from 1 up"),
        (entry(more='models = "r1"'), "models is 'r1'", '["r1"]'),
        (entry(more="models = []"), "models is []", "leave the line out"),
        (entry(more='until = "2027-01-31"'), "until is '2027-01-31'", "without quotes"),
        (entry(more="until = 2027-01-31T10:00:00"), "until is", "such as until"),
        (entry() + entry(user="bob"), "alice and bob have the same key", "make a key with"),
        (entry() + entry(digest=TWO, more="rate = 3"), "differ in rate", "the same limits"),
    ],
)
def test_what_is_wrong_is_said_once_with_the_way_out(text: str, reason: str, hint: str) -> None:
    with pytest.raises(Refusal) as refused:
        keys.parse(text, "keys.toml")
    assert reason in refused.value.reason
    assert hint in refused.value.hint


def test_a_key_in_the_place_of_its_digest_is_not_repeated() -> None:
    with pytest.raises(Refusal) as refused:
        keys.parse(entry(digest="mr-secret"), "keys.toml")
    assert "mr-secret" not in str(refused.value)


def test_keys_are_long_and_no_two_are_alike() -> None:
    made = {keys.made() for _ in range(100)}
    assert len(made) == 100 and {len(key) for key in made} == {46}
    assert all(key.startswith("mr-") for key in made)
