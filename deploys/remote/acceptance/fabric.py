"""Have an engine's own interpreter measure the cards, one by one and together.

    python3 fabric.py < wanted.json    {"python", "cards", "bytes", "programs": {"alone",
                                        "together"}}

The programs are texts (cards_speed.py, group/all_reduce.py), as these need torch. Prints {"cards",
"all_reduce": GB/s of the bus, "all_reduce_error", "error"}.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from typing import Any

# Seconds for all of one program.
_LIMIT = 300


def main() -> int:
    told: dict[str, Any] = json.load(sys.stdin)
    found: dict[str, Any] = {"cards": [], "all_reduce": None, "all_reduce_error": "", "error": ""}
    alone = {"cards": told["cards"], "bytes": told["bytes"]}
    (said,) = _run(told["python"], told["programs"]["alone"], [alone])
    if said[0]:
        found["error"] = said[1]
    else:
        found["cards"] = json.loads(said[1])["cards"]
        if len(told["cards"]) > 1:
            _together(told, found)
    print(json.dumps(found))
    return 0


def _together(told: dict[str, Any], found: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ranks = [
        {
            **{"rank": rank, "world": len(told["cards"]), "card": card},
            **{"head": "127.0.0.1", "port": port, "meet": 60},
        }
        for rank, card in enumerate(told["cards"])
    ]
    said = _run(told["python"], told["programs"]["together"], ranks)
    wrong = next((text for code, text in said if code), "")
    if wrong:
        found["all_reduce_error"] = wrong
    else:
        found["all_reduce"] = json.loads(said[0][1])["gigabytes_per_second"]


def _run(python: str, program: str, told: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Return of each process its exit code and the last line that it printed."""
    processes = []
    try:
        for each in told:
            process = subprocess.Popen(
                [python, "-", json.dumps(each)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            processes.append(process)
            assert process.stdin
            process.stdin.write(program.encode())
            process.stdin.close()
            process.stdin = None
        return [_said(process) for process in processes]
    except OSError as error:
        return [(1, f"{python} cannot be started: {error.strerror}")] * len(told)
    finally:
        for process in processes:
            process.kill()


def _said(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    try:
        output, _ = process.communicate(timeout=_LIMIT)
    except subprocess.TimeoutExpired:
        return 1, f"it has not ended after {_LIMIT} seconds"
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return process.returncode, (lines or [f"it ended with {process.returncode}"])[-1]


if __name__ == "__main__":
    raise SystemExit(main())
