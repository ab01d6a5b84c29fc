"""What users have spent today is what the log says, and nothing that is not the log."""

from __future__ import annotations

import json

from deploys.remote.gateway import spent


def line(user: str, tokens_in: object, tokens_out: object) -> str:
    return json.dumps({"user": user, "tokens_in": tokens_in, "tokens_out": tokens_out}) + "\n"


def test_tokens_of_prompts_and_answers_are_added_up() -> None:
    lines = [line("alice", 20, 5), line("bob", 1, 1), line("alice", 0, 7), line("carol", 0, 0)]
    assert spent.add(lines) == {"alice": 32, "bob": 2}


def test_what_is_no_line_of_the_log_is_passed_over() -> None:
    lines = [
        "[NOTICE] (1): New worker (2) forked\n",
        "{not json\n",
        '{"user": "alice"}\n',
        line("alice", "many", 1),
        line("alice", 3, 4),
    ]
    assert spent.add(lines) == {"alice": 7}
