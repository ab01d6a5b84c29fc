"""What the gateway adds to a chunk, and what it lets through: python -m tests.bench.gateway

One engine that only streams, reached on its own port, through our HAProxy as it is rendered for a
machine, and through Debian's nginx and LiteLLM: all with TLS and a key but for the engine itself.
They take turns, so that what else this computer does concerns all of them. How late a chunk is, is
the time from when the engine sent it. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from tests import temporary
from tests.bench import gateways, peers
from tests.bench.gateways import HEADERS, MODEL, GatewayError, Running

# Milliseconds that the gateway may add to a chunk.
TARGETS = {"median": 1.0, "p99": 10.0}
# Streams at a time, chunks of each, and seconds between two, where lateness is measured.
STREAMS, CHUNKS, GAP = 4, 150, 0.01
# Chunks of an answer and streams open at the same time, where requests are counted.
ANSWER, OPEN = 16, (1, 50, 500)
_WRK = """\
wrk.method = "POST"
wrk.body = [[{body}]]
{headers}
"""


@dataclass
class Result:
    """What was measured of one: milliseconds, requests a second by open streams, bytes."""

    of: Running
    late: list[float] = field(default_factory=list)
    requests: dict[int, list[float]] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)
    memory: int = 0

    def late_by(self, share: float) -> float:
        """Milliseconds that so many of a hundred chunks were late at most."""
        return median(self.late) if share == 50 else quantiles(self.late, n=100)[int(share) - 1]

    def requests_at(self, streams: int) -> float:
        return median(self.requests[streams])


def main() -> int:
    arguments = _arguments()
    try:
        with temporary.folder("modelrack-gateway-") as folder, _all(folder, arguments) as found:
            results = [Result(each) for each in found]
            for turn in range(arguments.repetitions):
                _gap(results[0].of, GAP)
                for result in results:
                    result.late += _late(result.of)
                _gap(results[0].of, 0)
                for streams in OPEN:
                    for result in results:
                        _requests(result, streams, arguments.seconds, folder)
                _say(f"turn {turn + 1}, load {os.getloadavg()[0]:.1f}")
    except (GatewayError, peers.PeersError) as error:
        print(error, file=sys.stderr)
        return 1
    return _report(results)


@contextmanager
def _all(folder: Path, arguments: argparse.Namespace) -> Iterator[list[Running]]:
    """The engine first, then us, then the others."""
    port, pem = gateways.free_port(), gateways.certificate(folder)
    command = [sys.executable, "-m", "tests.bench.streaming_engine", str(port), MODEL]
    with ExitStack() as stack:
        engine = gateways.running(
            *("engine", "the engine itself"), command, port, folder / "engine.log", tls=False
        )
        found = [stack.enter_context(engine)]
        found.append(stack.enter_context(gateways.ours(folder, port, pem)))
        if not arguments.alone:
            found.append(stack.enter_context(gateways.nginx(folder, port, pem)))
            _say("installing LiteLLM")
            environment = peers.environment("gateways")
            found.append(stack.enter_context(gateways.litellm(folder, port, pem, environment)))
        yield found


def _gap(engine: Running, seconds: float) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{engine.port}/gap/{seconds}").read()


def _late(of: Running) -> list[float]:
    """Milliseconds from when a chunk was sent until it had come, of all of some streams."""
    with ThreadPoolExecutor(STREAMS) as pool:
        return [ms for stream in pool.map(_stream, [of] * STREAMS) for ms in stream]


def _stream(of: Running) -> list[float]:
    connection = of.connect()
    connection.request("POST", "/v1/chat/completions", _body(CHUNKS), HEADERS)
    answer = connection.getresponse()
    late = []
    while line := answer.readline():
        came = time.monotonic_ns()
        if sent := re.search(rb'"content": ?"(\d+) ', line):
            late.append((came - int(sent[1])) / 1e6)
    if answer.status != 200 or len(late) != CHUNKS:
        raise GatewayError(f"{of.title} answers {answer.status}, with {len(late)} chunks")
    # The first one comes with the start of the answer.
    return late[1:]


def _body(chunks: int) -> str:
    messages = [{"role": "user", "content": "Hello"}]
    return json.dumps({"model": MODEL, "messages": messages, "max_tokens": chunks, "stream": True})


def _requests(result: Result, streams: int, seconds: int, folder: Path) -> None:
    """Ask again and again on so many connections, and note how many answers were whole."""
    script = folder / "wrk.lua"
    headers = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in HEADERS.items())
    script.write_text(_WRK.format(body=_body(ANSWER), headers=headers))
    scheme = "https" if result.of.tls else "http"
    words = ["wrk", "-c", streams, "-t", min(streams, os.cpu_count() or 1), "-d", f"{seconds}s"]
    words += ["--timeout", "30s", "-s", script]
    words += [f"{scheme}://127.0.0.1:{result.of.port}/v1/chat/completions"]
    with _memory(result):
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    found = re.search(r"Requests/sec: +([\d.]+)", done.stdout)
    if found is None:
        raise GatewayError(f"wrk: {done.stdout}{done.stderr}")
    failed = re.findall(
        r"Non-2xx or 3xx responses: (\d+)|(?:connect|read|write) (\d+)", done.stdout
    )
    result.requests.setdefault(streams, []).append(float(found[1]))
    count = sum(int(number) for pair in failed for number in pair if number)
    result.failed[streams] = result.failed.get(streams, 0) + count


@contextmanager
def _memory(result: Result) -> Iterator[None]:
    """Note the most memory that it takes meanwhile."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.3) and result.of.process:
            found = sum(map(_held, _family(result.of.process.pid)))
            result.memory = max(result.memory, found)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _family(process: int) -> list[int]:
    """A process and all that it has started."""
    try:
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        children = [int(word) for task in tasks for word in task.read_text().split()]
    except OSError:
        return []
    return [process, *(each for child in children for each in _family(child))]


def _held(process: int) -> int:
    """Bytes of memory; what processes share is divided among them."""
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"(?m)^Pss: +(\d+) kB", rollup)
    return int(found[1]) * 1024 if found else 0


def _report(results: Sequence[Result]) -> int:
    engine, ours = results[:2]
    print(f"\n{STREAMS} streams of a chunk every {GAP * 1e3:.0f} ms; answers of {ANSWER} chunks")
    columns = "".join(f"{f'at {streams}':>9}" for streams in OPEN)
    print(f"{'':<22}chunk late, ms: median    p99    requests/s{columns}   MiB")
    for each in results:
        requests = "".join(f"{each.requests_at(streams):>9.0f}" for streams in OPEN)
        failed = sum(each.failed.values())
        print(
            f"{each.of.title:<22}{each.late_by(50):>22.2f}{each.late_by(99):>7.2f}{'':>14}{requests}"
            f"{each.memory / (1 << 20):>6.0f}{f'   {failed} failed' if failed else ''}"
        )
    added = {
        name: round(ours.late_by(share) - engine.late_by(share), 2)
        for name, share in (("median", 50), ("p99", 99))
    }
    said = {
        each.of.key: {
            "late": [round(each.late_by(50), 3), round(each.late_by(99), 3)],
            "requests": {streams: round(each.requests_at(streams)) for streams in OPEN},
            "failed": sum(each.failed.values()),
            "mib": round(each.memory / (1 << 20)),
        }
        for each in results
    }
    print(json.dumps({"bench": "gateway", "targets": TARGETS, "added": added, "found": said}))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="for each count of requests")
    parser.add_argument("--alone", action="store_true", help="without nginx and LiteLLM")
    return parser.parse_args()


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
