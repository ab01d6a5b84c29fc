"""The power fails under each kind of operation that writes, time after time on the same machines.

After each cut no file that has its name is half written, and nothing that the operator was told is
done has to be done again. In the end the machines are as one that nothing happened to.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.e2e import stub
from tests.e2e.digest import difference
from tests.e2e.rack import Rack
from tests.lab import wheels
from tests.lab.github import GitHub
from tests.lab.hub import Hub
from tests.lab.tiny_model import ANSWER
from tests.vm import cuts
from tests.vm.cuts import Moment
from tests.vm.disk_machine import DiskLab, DiskMachine

DEPLOY = "tests/vm/deploys/everything.py"
DATA = """
near = replace(
    site,
    builds=_folder / "builds",
    mirrors=replace(site.mirrors, github=_lab["stub_github"], pypi=_lab["index"]),
)
lock = str(_folder.parents[1] / "lock")
"""
# Written by nobody: with it the names of all files are on the disk, and not yet what is in them.
MARK = "/var/mark"
ENGINES, BUILD = "/opt/modelrack/engines", "/var/lib/modelrack/build"
UNIT = "/etc/systemd/system"
# Of one machine each; the machines are deployed to side by side.
MOMENTS = (
    (
        Moment("Create directories and write base configuration", "[ -e /etc/modelrack/services ]"),
        Moment("Create the user that services run as", "grep ^modelrack: /etc/passwd"),
        Moment("Upload modelrack's programs", "ls /opt/modelrack/bin/modelrack-*", MARK),
        Moment("Install uv", "[ $(stat -c %s /opt/modelrack/bin/uv-*) -gt 20000000 ]"),
        Moment("Update the links to uv and our programs", "[ -L /opt/modelrack/bin/uv ]"),
    ),
    (
        Moment("Install a package of many files", "ls /usr/share/man/man3/*.dpkg-new"),
        Moment("Install a package of many files", "ls /var/lib/dpkg/info/manpages-dev.list", MARK),
        Moment("Unpack an archive", f"ls {ENGINES}/archive/1", MARK),
        Moment("Compile a program", f"ls {BUILD}/*/build.ninja", MARK),
        Moment("Compile a program", f"grep main.c.o {BUILD}/*/.ninja_log", f"{BUILD}/*/.ninja_log"),
        Moment("Compile a program", f"ls {ENGINES}/stub/1-*", MARK),
    ),
    (
        Moment(
            "Make an environment",
            f"ls {ENGINES}/python/1-*/lib/python3*/site-packages/lab_indexed.py",
            MARK,
        ),
        Moment("Install llama.cpp", f"ls {ENGINES}/llama.cpp/*/bin", MARK),
        Moment("Fetch and verify the models", "ls -d /data/models/*/.fetch", MARK),
        Moment("Fetch and verify the models", "ls /data/models/*/*.gguf", MARK),
    ),
    (
        Moment("wait until it answers", f"[ -e {UNIT}/llama-server@.service ]"),
        Moment("wait until it answers", f"ls {UNIT}/*.wants/llama-server@tiny.service"),
        Moment("wait until it answers", "ls /var/lib/modelrack/engines/llama.cpp/serving.json"),
        Moment("Record the deployed state", "[ -e /var/lib/modelrack/state.json ]"),
    ),
)


@dataclass(frozen=True)
class Bench:
    """One machine, and who deploys to it; all of them have the same name there."""

    machine: DiskMachine
    rack: Rack

    def end(self, done: set[str]) -> dict[str, Any]:
        """Deploy to the end, and say what it has become; nothing that was done is done again."""
        last = self.rack.deploy(deploy=DEPLOY)
        assert last.code == 0, last.output
        said = cuts.told(last.output)
        assert [name for name in done if said[name] == "Success"] == []
        assert ANSWER in self.rack.ask()
        return cuts.state(self.machine)


@pytest.fixture(scope="module")
def benches(
    lab_hub: Hub, lab_github: GitHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Bench]]:
    """One for each machine of MOMENTS, and one that nothing happens to."""
    folder = tmp_path_factory.mktemp("near")
    archive = stub.publish(folder / "github")
    lock = wheels.publish(folder / "index", "lab_indexed")
    with (
        GitHub(folder / "github") as github,
        wheels.WheelPages(folder / "index") as index,
        DiskLab(len(MOMENTS) + 1, name="cuts", more=("cmake", "gcc", "libc6-dev")) as lab,
    ):
        near = {"stub_github": github.listen(lab.host), "index": index.listen(lab.host)}
        hub, engines = lab_hub.listen(lab.host), lab_github.listen(lab.host)
        made = []
        for machine in lab.with_disks:
            place = tmp_path_factory.mktemp(machine.name)
            (place / "lock.txt").write_text(lock)
            rack = Rack(lab, hub, engines, place, f"{archive.data}\n{DATA}")
            rack.tell(**near)
            rack.point_to([replace(machine, name="cut")], hub, engines)
            made.append(Bench(machine, rack))
        yield made


def test_under_each_kind_of_operation(benches: list[Bench]) -> None:
    bare = cuts.state(benches[0].machine)
    with ThreadPoolExecutor(len(benches)) as pool:
        undisturbed = pool.submit(benches[-1].end, set())
        cut = [pool.submit(_cut, *each) for each in zip(benches, MOMENTS, strict=False)]
        whole = undisturbed.result()
        for each, moments in zip(cut, MOMENTS, strict=True):
            *states, last = each.result()
            for moment, state in zip(moments, states, strict=True):
                assert _torn(state, bare, whole) == [], moment
            assert difference(whole, last) == {}
            print(f"{moments[0].operation} and on: {len(moments)} power cuts, the same in the end")


def _cut(bench: Bench, moments: tuple[Moment, ...]) -> list[dict[str, Any]]:
    """What a machine is after each cut, and in the end."""
    machine, done = bench.machine, set[str]()
    states: list[dict[str, Any]] = []
    for moment in moments:
        machine.ssh(f"touch {MARK}")
        told = cuts.cut_in(bench.rack, machine, moment, DEPLOY)
        machine.start()
        assert [name for name in done if told.get(name) == "Success"] == [], moment
        done |= {name for name, ended in told.items() if ended}
        states.append(cuts.state(machine))
        print(f"{machine.name}: the power failed in {[*told][-1]}", flush=True)
    machine.ssh(f"rm -f {MARK}")
    return [*states, bench.end(done)]


def _torn(now: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Files that have their names, and are neither what they were nor what they become."""
    stamps = [path for path in after["files"] if path.endswith("/.modelrack.json")]
    # An environment is not one before it has its stamp.
    unfinished = tuple(stamp.rpartition("/")[0] for stamp in stamps if stamp not in now["files"])
    return [
        path
        for path, entry in now["files"].items()
        if path.startswith(("/opt/modelrack", "/data", "/etc/modelrack", f"{UNIT}/"))
        and path in after["files"]
        and entry[0] != "folder"
        and not path.startswith(unfinished or "-")
        and entry not in (before["files"].get(path), after["files"][path])
    ]
