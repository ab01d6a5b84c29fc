"""Several machines fetch one model at once: what the hub sends, what peers spoil, what is left."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from deploys.remote.download import fetch as program
from deploys.remote.download.source import RetryPolicy
from deploys.remote.lib import spec
from deploys.remote.lib.failure import Stopped
from deploys.remote.model_dir import manifest
from deploys.remote.peers import peers, seed
from tests.lab.http_server import Reply, StandIn, json_reply
from tests.unit.remote import support
from tests.unit.remote.support import Hub, request, serving

QUICK = RetryPolicy(silence=1.0, tries=4, first_wait=0.01, longest_wait=0.05)
KIB = 1 << 10
FILES = {
    f"model-{number}.bin": random.Random(number).randbytes(1500 * KIB + number)
    for number in range(4)
}
SIZE = sum(map(len, FILES.values()))
GROUPS = [
    [(f"blk.{number}.a", random.Random(number).randbytes(700 * KIB + 7))] for number in range(3)
]
SHARDS, MERGED = support.split(GROUPS), support.merged(GROUPS)
OUTPUT = {"output": "tiny.gguf"}


class WebServer(StandIn):
    """What nginx does on a real machine."""

    def answer(self, path: str, query: dict[str, str]) -> Reply:
        name = path.lstrip("/")
        file = self.root / name
        return Reply(name, file=file) if file.is_file() else json_reply({}, 404, name)

    @property
    def given(self) -> int:
        """Bytes of content that were sent."""
        return sum(each.bytes for each in self.requests if len(each.name) == 64)


def spoil(directory: Path) -> None:
    """Other bytes of the same size, in every piece of every file."""
    for path in FILES:
        content = bytearray((directory / path).read_bytes())
        for at in range(0, len(content), 50 * KIB):
            content[at] ^= 1
        (directory / path).write_bytes(content)


class Machine:
    """One machine: a directory for the model, a folder that is given, and who gives it."""

    def __init__(self, root: Path) -> None:
        self.directory, self.folder = root / "model", root / "by-sha256"
        self.folder.mkdir(parents=True)
        self.web = WebServer(self.folder)
        self.stop = threading.Event()
        self.error: BaseException | None = None

    def request(self, files: dict[str, bytes], hub: Hub, *all_of_them: Machine, **more: Any) -> Any:
        others = [each.web.url for each in all_of_them if each is not self]
        sharing = {"folder": str(self.folder), "me": self.web.url, "others": others}
        return request(self.directory, files, hub, sharing=sharing, **more)

    def fetch(self, files: dict[str, bytes], hub: Hub, *all_of_them: Machine, **more: Any) -> bool:
        value = spec.parse(self.request(files, hub, *all_of_them, **more))
        return program.fetch(value, patience=QUICK, stop=self.stop)

    def assert_has(self, files: dict[str, bytes]) -> None:
        for path, expected in files.items():
            assert (self.directory / path).read_bytes() == expected, path
        found = manifest.load(self.directory / "manifest.json")
        assert found and not manifest.problems(found, self.directory)


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Machine]]:
    """Four, which deal in small pieces and look at each other often."""
    for module in (peers, program):
        monkeypatch.setattr(module, "PIECE", 64 * KIB)
    monkeypatch.setattr(peers, "LEAST", 16 * KIB)
    monkeypatch.setattr(peers, "LOOK_EVERY", 0.02)
    monkeypatch.setattr(seed, "NEWS_EVERY", 0.02)
    # Time for all of them to begin.
    monkeypatch.setattr(peers, "START_RATE", SIZE / 5)
    monkeypatch.setattr(peers, "LIFE", 2.0)
    with ExitStack() as stack:
        found = [Machine(tmp_path / f"machine{number}") for number in range(4)]
        for machine in found:
            stack.enter_context(machine.web)
        yield found


def all_fetch(
    machines: list[Machine],
    files: dict[str, bytes],
    hub: Hub,
    among: list[Machine] | None = None,
    **more: Any,
) -> list[threading.Thread]:
    """Each in a thread of its own, begun and not waited for."""

    def run(machine: Machine) -> None:
        try:
            machine.fetch(files, hub, *(among or machines), **more)
        except BaseException as error:
            machine.error = error

    threads = [threading.Thread(target=run, args=(machine,)) for machine in machines]
    for thread in threads:
        thread.start()
    return threads


def wait(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_four_machines_take_a_model_from_the_hub_once(machines: list[Machine]) -> None:
    with serving(Hub(FILES, rate=400_000)) as hub:
        wait(all_fetch(machines, FILES, hub))
        sent = hub.sent
    for machine in machines:
        assert machine.error is None
        machine.assert_has(FILES)
    # Four machines of which each asks for itself take four times as much. It is a little more
    # than once: where a processor is busy, a machine asks before it has heard of another's claim.
    assert sent <= 1.5 * SIZE
    # Nobody gives it all, and everybody gives something.
    assert all(0 < machine.web.given < 3 * SIZE for machine in machines)


def test_shards_that_are_merged_on_the_way_are_shared_too(machines: list[Machine]) -> None:
    with serving(Hub(SHARDS, rate=400_000)) as hub:
        wait(all_fetch(machines, SHARDS, hub, merge=OUTPUT))
        sent = hub.sent
    for machine in machines:
        assert machine.error is None
        machine.assert_has({"tiny.gguf": MERGED})
    # The first 64 KiB of every shard are read by everybody: they say how the file is laid out.
    heads = len(machines) * len(SHARDS) * 64 * KIB
    assert sent <= 1.5 * sum(map(len, SHARDS.values())) + heads


@pytest.mark.parametrize("merged_here", [True, False])
@pytest.mark.parametrize("merged_there", [True, False])
def test_a_late_machine_takes_all_from_one_that_has_it(
    machines: list[Machine], merged_here: bool, merged_there: bool
) -> None:
    first, late = machines[:2]
    whole = {"tiny.gguf": MERGED}
    with serving(Hub(SHARDS)) as hub:
        first.fetch(SHARDS, hub, merge=OUTPUT if merged_here else None)
        hub.sent = 0
        time.sleep(0.1)
        late.fetch(SHARDS, hub, first, late, merge=OUTPUT if merged_there else None)
        assert hub.sent <= len(SHARDS) * 64 * KIB * merged_there + 4 * 64 * KIB
    late.assert_has(whole if merged_there else SHARDS)
    assert {
        path.name for path in (late.directory / ".fetch").iterdir() if path.suffix != ".head"
    } == {"lock"}


def test_what_was_fetched_alone_is_given_once_that_is_wanted(machines: list[Machine]) -> None:
    first, late = machines[:2]
    with serving(Hub(SHARDS)) as hub:
        program.fetch(spec.parse(request(first.directory, SHARDS, hub, merge=OUTPUT)))
        asked = len(hub.asked)
        wanted = first.request(SHARDS, hub, merge=OUTPUT)
        assert not seed.is_published(spec.parse(wanted), first.folder)
        assert first.fetch(SHARDS, hub, merge=OUTPUT)
        assert seed.is_published(spec.parse(wanted), first.folder)
        assert not first.fetch(SHARDS, hub, merge=OUTPUT)
        assert len(hub.asked) == asked
        late.fetch(SHARDS, hub, first, late)
    late.assert_has(SHARDS)
    assert first.web.given > 0


def test_a_machine_with_wrong_content_is_named_and_done_without(
    machines: list[Machine], capfd: pytest.CaptureFixture[str]
) -> None:
    good, bad, late = machines[:3]
    with serving(Hub(FILES)) as hub:
        for machine in (good, bad):
            machine.fetch(FILES, hub)
        spoil(bad.directory)
        capfd.readouterr()
        late.fetch(FILES, hub, good, bad, late)
    late.assert_has(FILES)
    said = capfd.readouterr().out
    assert f"{bad.web.url} is not used any more: what it gave of model-" in said
    assert f"{good.web.url} is not used" not in said


def test_wrong_content_that_goes_round_is_wrong_nowhere_in_the_end(
    machines: list[Machine],
) -> None:
    """One machine has spoilt content, the others take it from it and from each other."""
    bad, *others = machines
    with serving(Hub(FILES, rate=400_000)) as hub:
        bad.fetch(FILES, hub)
        spoil(bad.directory)
        wait(all_fetch(others, FILES, hub, among=machines))
    for machine in others:
        assert machine.error is None
        machine.assert_has(FILES)


def test_a_machine_that_dies_is_done_without(machines: list[Machine]) -> None:
    dying, *others = machines
    with serving(Hub(FILES, rate=200_000)) as hub:
        threads = all_fetch(machines, FILES, hub)
        while hub.sent < SIZE / 3:
            time.sleep(0.01)
        dying.stop.set()
        dying.web.close()
        wait(threads)
    assert isinstance(dying.error, Stopped)
    for machine in others:
        assert machine.error is None
        machine.assert_has(FILES)


def test_a_hub_that_dies_is_done_without_by_those_who_have_it_all_among_them(
    machines: list[Machine],
) -> None:
    first, late = machines[:2]
    with serving(Hub(FILES)) as hub:
        first.fetch(FILES, hub)
    late.fetch(FILES, hub, first, late)
    late.assert_has(FILES)


def test_what_is_reported_while_fetching_is_true(machines: list[Machine]) -> None:
    machine = machines[0]
    wanted = spec.parse(machine.request(FILES, Hub(FILES), *machines[:1]))
    now, complete = seed.report_paths(machine.folder, wanted.files)
    with serving(Hub(FILES, rate=300_000)) as hub:
        threads = all_fetch(machines[:1], FILES, hub)
        seen = 0
        while threads[0].is_alive():
            try:
                report = json.loads(now.read_bytes())
            except FileNotFoundError:
                continue
            assert not report["last"]
            for path, content in FILES.items():
                file = next(each for each in wanted.files if each.path == path)
                for start, stop in report["files"][file.sha256]["have"]:
                    try:
                        found = (machine.folder / file.sha256).read_bytes()
                    except FileNotFoundError:
                        continue
                    assert found[start:stop] == content[start:stop]
                    seen += 1
            time.sleep(0.02)
        wait(threads)
    assert machine.error is None and seen
    assert complete.exists() and not now.exists()
    assert {path.name for path in machine.folder.iterdir()} == {
        complete.name,
        *(file.sha256 for file in wanted.files),
    }
    for file in wanted.files:
        link = machine.folder / file.sha256
        assert link.readlink() == machine.directory / file.path
