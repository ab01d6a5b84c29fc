"""Load by evalscope, whose figures are read from its JSON; it runs here, beside pyinfra.

python -m deploys.control.acceptance.load < wanted.json

wanted.json is {"name", "data", "port", "served", "prompt", "answer", "parallel", "each", "seed"}: a
host of an inventory and its SSH settings, the port of a service, tokens of a prompt and of an
answer, numbers of requests at once, and how many are made for each of these. Prints a list of what
evalscope.read() returns. It is a process of its own: pyinfra's has gevent under everything.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

from deploys.connection import tunnel
from deploys.control.acceptance import evalscope
from deploys.planning.inputs.refusal import Refusal

_WORDS = (
    *("amber", "bridge", "candle", "desert", "engine", "forest", "garden", "harbor", "island"),
    *("jacket", "kettle", "ladder", "meadow", "needle", "orange", "pepper", "quartz", "ribbon"),
    *("saddle", "timber", "umbrella", "valley", "window", "yellow", "zipper"),
)


def main() -> int:
    told: dict[str, Any] = json.load(sys.stdin)
    try:
        program = evalscope.installed()
        with (
            tunnel.opened(told["name"], told["data"], told["port"]) as port,
            tempfile.TemporaryDirectory(prefix="modelrack-load-") as folder,
        ):
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            print(json.dumps(_runs(program, url, told, Path(folder))))
    except (Refusal, OSError, ValueError, KeyError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _runs(program: Path, url: str, told: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    draw = random.Random(told["seed"])
    words = _words(url, told, draw)
    numbers = [told["each"] * at_once for at_once in told["parallel"]]
    prompts = folder / "prompts.jsonl"
    asked = [[{"role": "user", "content": _text(draw, words)}] for _ in range(max(numbers))]
    prompts.write_text("".join(f"{json.dumps(each)}\n" for each in asked))
    command = [
        *(str(program), "perf", "--url", url, "--api", "openai", "--model", told["served"]),
        *("--dataset", "line_by_line", "--dataset-path", str(prompts)),
        *("--max-tokens", str(told["answer"]), "--extra-args", '{"ignore_eos": true}'),
        *("--parallel", *map(str, told["parallel"]), "--number", *map(str, numbers)),
        *("--stream", "--no-timestamp", "--no-test-connection", "--outputs-dir", str(folder)),
        # A server may close a connection that was kept, in the moment in which it is used again.
        *("--temperature", "0", "--headers", "Connection=close"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it says nothing"]
        raise ValueError(f"evalscope ended with {done.returncode}: {lines[-1]}")
    return [evalscope.read(folder, at_once) for at_once in told["parallel"]]


def _words(url: str, told: dict[str, Any], draw: random.Random) -> int:
    """Return how many words make a prompt of the wanted tokens, as the service counts them."""
    few, many = 8, 32
    first, second = (_tokens(url, told["served"], _text(draw, count)) for count in (few, many))
    each = max((second - first) / (many - few), 0.1)
    return max(1, int((told["prompt"] - (first - few * each)) / each))


def _tokens(url: str, model: str, text: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 1}
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=600) as answer:
        return int(json.load(answer)["usage"]["prompt_tokens"])


def _text(draw: random.Random, count: int) -> str:
    """Return words that no other prompt begins with, or a server might remember it."""
    return " ".join((f"{draw.randrange(10**6):06}", *draw.choices(_WORDS, k=max(0, count - 1))))


if __name__ == "__main__":
    raise SystemExit(main())
