"""Wait until a service answers again, and print {"state", "problem"}.

python3 survival.py < service.json      {"unit", "url", "served", "patience"}
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from ..lib.probe import run
from ..services.model_server import ModelServer, RequestFailed

_LOOK_EVERY = 1.0
# Looks at a unit that is not even starting, one after the other, before it is given up.
_ENOUGH = 5


def main() -> int:
    told: dict[str, Any] = json.load(sys.stdin)
    begun, away = time.monotonic(), 0
    while True:
        state, _ = run("systemctl", "is-active", told["unit"])
        state = state.strip()
        problem = _problem(told)
        away = 0 if state in ("active", "activating") else away + 1
        is_over = time.monotonic() - begun > told["patience"] or away == _ENOUGH
        if (state == "active" and not problem) or is_over:
            print(json.dumps({"state": state, "problem": problem if state == "active" else ""}))
            return 0
        time.sleep(_LOOK_EVERY)


def _problem(told: dict[str, Any]) -> str:
    server = ModelServer(told["url"])
    try:
        models = server.models()
    except (RequestFailed, KeyError, TypeError) as error:
        return str(error) or "it does not answer"
    finally:
        server.close()
    return "" if told["served"] in models else f"it serves {', '.join(models)}"


if __name__ == "__main__":
    raise SystemExit(main())
