"""A conversation with a model, at a terminal or for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from openai import APIConnectionError, APIError, APIStatusError, OpenAI
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionMessageParam,
    ChatCompletionUserMessageParam,
)
from prompt_toolkit import PromptSession
from rich.console import Console

# What would move the cursor or change colours: an answer is text, whatever stands in it.
_CONTROLS = dict.fromkeys({*range(0x20), *range(0x7F, 0xA0)} - {0x09, 0x0A})


class Piece(NamedTuple):
    """A part of an answer as it arrives; what the model thinks before it answers is marked."""

    text: str
    thought: bool


class Conversation:
    """Questions and answers so far; each question is sent together with them."""

    def __init__(self, client: OpenAI, model: str) -> None:
        self._client = client
        self._model = model
        self._messages: list[ChatCompletionMessageParam] = []

    def ask(self, question: str) -> Generator[Piece, None, None]:
        """Yield the answer in pieces; what was answered until it was broken off is remembered.

        A question that nothing was answered to is forgotten: models expect question and answer in
        turns.
        """
        asked = ChatCompletionUserMessageParam(role="user", content=question)
        answer = ""
        try:
            stream = self._client.chat.completions.create(
                model=self._model, messages=[*self._messages, asked], stream=True
            )
            with stream:
                for chunk in stream:
                    for piece in _pieces(chunk):
                        answer += "" if piece.thought else piece.text
                        yield piece
        finally:
            if answer:
                answered = ChatCompletionAssistantMessageParam(role="assistant", content=answer)
                self._messages += [asked, answered]

    def forget(self) -> None:
        """Begin anew."""
        self._messages.clear()


def _pieces(chunk: Any) -> Iterator[Piece]:
    for choice in chunk.choices[:1]:
        # Engines call it by either name.
        for name in ("reasoning_content", "reasoning"):
            if thought := getattr(choice.delta, name, None):
                yield Piece(thought, thought=True)
                break
        if choice.delta.content:
            yield Piece(choice.delta.content, thought=False)


def once(conversation: Conversation, question: str) -> None:
    """Print the answer to one question, and nothing else."""
    hidden = _CONTROLS if sys.stdout.isatty() else {}
    for piece in conversation.ask(question):
        if not piece.thought:
            sys.stdout.write(piece.text.translate(hidden))
            sys.stdout.flush()
    sys.stdout.write("\n")


def at_terminal(conversation: Conversation, title: str) -> None:
    """Ask at the terminal until the operator leaves."""
    console = Console(highlight=False)
    console.out(title, style="bold")
    console.out("Ctrl-C stops an answer, /clear begins anew, Ctrl-D leaves.", style="dim")
    session: PromptSession[str] = PromptSession()
    while True:
        try:
            question = session.prompt(">>> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if question == "/clear":
            conversation.forget()
        elif question:
            _show(console, conversation.ask(question))


def _show(console: Console, answer: Generator[Piece, None, None]) -> None:
    thinking = False
    try:
        with closing(answer):
            for piece in answer:
                if thinking and not piece.thought:
                    console.out("\n")
                thinking = piece.thought
                style = "dim italic" if piece.thought else None
                console.out(piece.text.translate(_CONTROLS), style=style, end="")
        console.out()
    except KeyboardInterrupt:
        console.out("\n(stopped)", style="dim")
    except APIError as error:
        console.out(f"\n{reason(error)}", style="red")


def reason(error: APIError) -> str:
    """Return what an engine or the gateway said in one sentence."""
    if isinstance(error, APIStatusError):
        body = error.body if isinstance(error.body, dict) else {}
        return f"{error.status_code}: {body.get('message') or error.message}"
    if isinstance(error, APIConnectionError):
        return f"the connection was lost: {error.__cause__ or error}"
    return error.message
