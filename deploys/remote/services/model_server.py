"""Client for the OpenAI API of a model server, and for what differs between engines."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

# Seconds; a busy server answers a short question within this.
TIMEOUT = 60

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty")
# What llama-server and Ollama call otherwise.
_OTHERWISE = {"repetition_penalty": "repeat_penalty"}


class RequestFailed(Exception):
    """There is no answer, or none that can be used; the text says why."""


class RequestRejected(RequestFailed):
    """The server rejects the request, and would reject it again later."""


class ModelServer:
    """One server on one port, sent one request at a time.

    + url: such as http://127.0.0.1:8080
    + timeout: seconds of silence after which a request is given up
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        address = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=timeout
        )

    def greet(self) -> None:
        """Raise Unanswered unless the server answers without an error.

        The server need not have any models.
        """
        self._ask("GET", "/").read()

    def models(self) -> dict[str, dict[str, Any]]:
        """Return the models that the server lists, by name."""
        listed = self._read(self._ask("GET", "/v1/models"))["data"]
        return {model["id"]: model for model in listed}

    def context(self, model: dict[str, Any]) -> int | None:
        """Return how many tokens one request to a listed model may take; None if unknown.

        SGLang lists what the model could take, and reports the size of its cache elsewhere; Ollama
        reports it for loaded models, and llama-server for one slot.
        """
        owner = model.get("owned_by")
        found = [model.get("max_model_len"), (model.get("meta") or {}).get("n_ctx")]
        if owner == "sglang":
            about = self._read(self._ask("GET", "/server_info"))
            found.append(about.get("max_total_num_tokens"))
        elif owner == "library":
            loaded = self._read(self._ask("GET", "/api/ps"))["models"]
            found += [each.get("context_length") for each in loaded if each["name"] == model["id"]]
        return min((int(tokens) for tokens in found if tokens), default=None)

    def sampling(self, model: dict[str, Any]) -> dict[str, float] | None:
        """Return how answers are drawn where a request does not say it; None if no server says so.

        By the names of generation_config.json. llama-server and Ollama tell; vLLM would have its
        endpoints for parts of other servers opened for that (--enable-scale-out), but logs it.
        """
        owner = model.get("owned_by")
        if owner == "llamacpp":
            about = self._read(self._ask("GET", "/props"))
            told = about["default_generation_settings"]["params"]
        elif owner == "library":
            about = self._read(self._ask("POST", "/api/show", {"model": model["id"]}))
            lines = map(str.split, (about.get("parameters") or "").splitlines())
            told = {words[0]: words[1] for words in lines if len(words) == 2}
        else:
            return None
        found = {}
        for name in _SAMPLING:
            value = told.get(_OTHERWISE.get(name, name))
            if value is not None:
                found[name] = float(value)
        return found

    def chat(self, model: str, question: str, tokens: int) -> str:
        """Return the answer to a question, its reasoning included."""
        reply = self._read(self._ask("POST", _CHAT, _question(model, question, tokens)))
        return _said(reply["choices"][0]["message"])

    def answer(self, model: str, question: str, tokens: int) -> str:
        """Return the answer to a question, without its reasoning where the server parts the two."""
        reply = self._read(self._ask("POST", _CHAT, _question(model, question, tokens)))
        return str(reply["choices"][0]["message"].get("content") or "")

    def template(self) -> str:
        """Return the chat template by which llama-server writes prompts."""
        return str(self._read(self._ask("GET", "/props")).get("chat_template") or "")

    def embed(self, model: str, texts: list[str]) -> tuple[list[list[float]], int]:
        """Return the vectors of texts, in their order, and the tokens that were read for them."""
        reply = self._read(self._ask("POST", _EMBEDDINGS, {"model": model, "input": texts}))
        entries = sorted(reply["data"], key=lambda entry: int(entry["index"]))
        return [entry["embedding"] for entry in entries], int(reply["usage"]["prompt_tokens"])

    def rerank(self, model: str, query: str, texts: list[str]) -> tuple[dict[int, float], int]:
        """Return how well each text fits, by its index, and the tokens that were read for that."""
        body = {"model": model, "query": query, "documents": texts}
        reply = self._read(self._ask("POST", _RERANK, body))
        scores = {int(entry["index"]): entry["relevance_score"] for entry in reply["results"]}
        return scores, int(reply["usage"]["prompt_tokens"])

    def stream(self, model: str, question: str, tokens: int) -> Iterator[tuple[str, int | None]]:
        """Yield each piece of an answer of `tokens` tokens, and the token count so far or None.

        It is None if the server does not report it. The engine is asked to go on to that length
        even where the model would end the answer.
        """
        options = {"include_usage": True, "continuous_usage_stats": True}
        body = _question(model, question, tokens)
        body.update(stream=True, stream_options=options, ignore_eos=True)
        response = self._ask("POST", _CHAT, body)
        try:
            for line in response:
                data = line.partition(b"data:")[2].strip()
                if data and data != b"[DONE]":
                    piece = json.loads(data)
                    choices = piece.get("choices") or [{}]
                    usage = piece.get("usage") or {}
                    yield _said(choices[0].get("delta") or {}), usage.get("completion_tokens")
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RequestFailed(str(error)) from error

    def close(self) -> None:
        """Close the connection; the server abandons an answer that is not complete yet."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: Any = None) -> http.client.HTTPResponse:
        data = json.dumps(body) if body is not None else None
        try:
            self._connection.request(method, path, data, {"Content-Type": "application/json"})
            response = self._connection.getresponse()
            if response.status >= 400:
                kind = RequestRejected if response.status in (400, 422) else RequestFailed
                raise kind(f"HTTP status {response.status}{_complaint(response.read())}")
        except (OSError, http.client.HTTPException) as error:
            raise RequestFailed(str(error)) from error
        return response

    def _read(self, response: http.client.HTTPResponse) -> dict[str, Any]:
        try:
            parsed: dict[str, Any] = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RequestFailed(str(error)) from error
        return parsed


_CHAT, _EMBEDDINGS, _RERANK = "/v1/chat/completions", "/v1/embeddings", "/v1/rerank"


def _question(model: str, question: str, tokens: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    return {"model": model, "messages": messages, "max_tokens": tokens, "temperature": 0}


def _said(message: dict[str, Any]) -> str:
    """Return the text of a message, its reasoning included.

    vLLM uses another name for the reasoning than llama-server and SGLang do.
    """
    words = (message.get(key) for key in ("reasoning", "reasoning_content", "content"))
    return "".join(word for word in words if word)


def _complaint(body: bytes) -> str:
    """Return the readable part of an error response, or "" if it has none.

    It is {"error": {"message": ...}}, or something like it.
    """
    try:
        said = json.loads(body)
        said = said.get("error", said)
        said = said.get("message", said) if isinstance(said, dict) else said
    except (ValueError, AttributeError):
        said = body.decode(errors="replace")
    text = " ".join(str(said).split())[:300]
    return f": {text}" if text else ""
