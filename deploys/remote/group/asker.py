"""Ask the head's server a question now and then: a port that listens says nothing of the workers.

A busy server may leave a question waiting for as long as others are answered, so it counts against
a group only if the server has read and written nothing meanwhile.
"""

from __future__ import annotations

import http.client
import re
import threading
import urllib.request

from ..services import questions
from ..services.model_server import ModelServer, RequestFailed
from .settings import Question

# Seconds between two questions, and until one is given up; questions in a row without an answer.
_EVERY, _PATIENCE, _TRIES = 60.0, 120.0, 2
_TOKENS = re.compile(r"^\w+:\w*tokens_total\b.* (\S+)$", re.MULTILINE)


class Asker(threading.Thread):
    """Asks from the first answer on; before that the model is being loaded.

    + broken: what is wrong with the server, once it is
    """

    def __init__(
        self, question: Question, every: float = _EVERY, patience: float = _PATIENCE
    ) -> None:
        super().__init__(daemon=True)
        self.broken: str | None = None
        self._question, self._every, self._patience = question, every, patience
        self._over = threading.Event()

    def run(self) -> None:
        """Ask until the server is broken, or nobody wants to know any more."""
        while not self._over.wait(self._every) and self._wrong():
            pass
        failed, before = 0, self._tokens()
        while self.broken is None and not self._over.wait(self._every):
            wrong = self._wrong()
            after = self._tokens()
            failed = failed + 1 if wrong and after == before else 0
            before = after
            if failed >= _TRIES:
                self.broken = f"the server does not answer a question any more: {wrong}"

    def stop(self) -> None:
        """Ask no more; a question that is under way is left behind."""
        self._over.set()

    def _wrong(self) -> str | None:
        asked = self._question
        server = ModelServer(asked.url, self._patience)
        try:
            return questions.wrong(server, asked.task, asked.model, asked.vector)
        except (RequestFailed, KeyError, IndexError, TypeError) as error:
            return str(error) or repr(error)
        finally:
            server.close()

    def _tokens(self) -> float | None:
        """Return how many tokens the server has counted; None if it says nothing of that."""
        try:
            with urllib.request.urlopen(f"{self._question.url}/metrics", timeout=10) as answer:
                found = _TOKENS.findall(answer.read().decode(errors="replace"))
            return sum(map(float, found)) if found else None
        except (OSError, ValueError, http.client.HTTPException):
            return None
