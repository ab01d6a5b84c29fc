"""A conversation with an engine that speaks the API, over a transport in place of a network."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx2
import pytest
from openai import APIConnectionError, APIError, BadRequestError, DefaultHttpxClient, OpenAI

from deploys.control.clients import conversation
from deploys.control.clients.conversation import Conversation, Piece

Answer = Callable[[list[dict[str, str]]], httpx2.Response]


def streamed(*deltas: dict[str, str]) -> httpx2.Response:
    chunks = [{"choices": [{"index": 0, "delta": each}]} for each in deltas]
    # Usage comes in a chunk without a choice.
    lines = [json.dumps(each) for each in [*chunks, {"choices": [], "usage": {}}]]
    text = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text=text)


def refused(status: int, message: str) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"message": message}})


def talk(*answers: httpx2.Response | Exception) -> tuple[Conversation, list[Any]]:
    """A conversation that is answered so, and the messages of each request."""
    asked: list[Any] = []
    coming = iter(answers)

    def answer(request: httpx2.Request) -> httpx2.Response:
        asked.append(json.loads(request.content)["messages"])
        found = next(coming)
        if isinstance(found, Exception):
            raise found
        return found

    http = DefaultHttpxClient(transport=httpx2.MockTransport(answer))
    client = OpenAI(base_url="http://engine/v1", api_key="none", http_client=http, max_retries=0)
    return Conversation(client, "tiny"), asked


def said(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces if not piece.thought)


def test_each_question_is_asked_with_what_was_said_before() -> None:
    talking, asked = talk(
        streamed({"content": "你"}, {"content": "好"}), streamed({"content": "42"})
    )
    assert said([*talking.ask("Hello")]) == "你好"
    assert said([*talking.ask("How many?")]) == "42"
    assert [each["content"] for each in asked[1]] == ["Hello", "你好", "How many?"]
    assert [each["role"] for each in asked[1]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_what_it_thinks_is_marked_and_not_sent_back(name: str) -> None:
    talking, asked = talk(streamed({name: "Hm."}, {"content": "Yes."}), streamed({}))
    assert [*talking.ask("Is it?")] == [Piece("Hm.", thought=True), Piece("Yes.", thought=False)]
    assert [*talking.ask("Sure?")] == []
    assert [each["content"] for each in asked[1]] == ["Is it?", "Yes.", "Sure?"]


def test_what_is_stopped_is_remembered_as_far_as_it_came() -> None:
    talking, asked = talk(streamed({"content": "One"}, {"content": " two"}), streamed())
    answer = talking.ask("Count")
    assert next(answer).text == "One"
    answer.close()
    assert [*talking.ask("Go on")] == []
    assert [each["content"] for each in asked[1]] == ["Count", "One", "Go on"]


def test_a_question_without_an_answer_is_forgotten() -> None:
    talking, asked = talk(
        refused(400, "the request exceeds the context"), streamed({"content": "Yes"})
    )
    with pytest.raises(BadRequestError) as error:
        [*talking.ask("Too long")]
    assert conversation.reason(error.value) == "400: the request exceeds the context"
    assert said([*talking.ask("Short")]) == "Yes"
    assert [each["content"] for each in asked[1]] == ["Short"]


def test_a_connection_that_is_lost_is_said_with_its_cause() -> None:
    talking, _ = talk(httpx2.ConnectError("Connection refused"))
    with pytest.raises(APIConnectionError) as error:
        [*talking.ask("Anybody?")]
    assert conversation.reason(error.value) == "the connection was lost: Connection refused"


def test_forgotten_is_what_was_said() -> None:
    talking, asked = talk(streamed({"content": "Yes"}), streamed({"content": "No"}))
    [*talking.ask("One")]
    talking.forget()
    [*talking.ask("Two")]
    assert [each["content"] for each in asked[1]] == ["Two"]


def test_once_prints_the_answer_alone(capsys: pytest.CaptureFixture[str]) -> None:
    talking, _ = talk(streamed({"reasoning": "Hm."}, {"content": "Yes\x1b[2J."}))
    conversation.once(talking, "Is it?")
    assert capsys.readouterr() == ("Yes\x1b[2J.\n", "")


def test_an_error_inside_an_answer_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    broken = httpx2.Response(
        200,
        headers={"content-type": "text/event-stream"},
        text='data: {"error": {"message": "out of memory"}}\n\n',
    )
    talking, _ = talk(broken)
    with pytest.raises(APIError) as error:
        conversation.once(talking, "Is it?")
    assert conversation.reason(error.value) == "out of memory"
