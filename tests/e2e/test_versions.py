"""Versions of an engine on one machine: switched, taken back, gone back to, removed.

The tests are one story: each begins with what the one before it has left.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.rack import Rack, Run, run
from tests.e2e.versions import CRASHES, DOES_NOT_RUN, Versions, first_of
from tests.lab import tiny_model
from tests.lab.gguf_file import STRING, Key
from tests.lab.hub import Hub
from tests.lab.tiny_model import ANSWER, TinyModel

ROLLBACK, IMPATIENT = "deploys/rollback.py", "tests/e2e/deploys/impatient.py"
ENGINE, UNIT = "/opt/modelrack/engines/llama.cpp", "llama-server@tiny.service"
NO_CHANGE: list[str] = []

HANGS = '#!/bin/sh\n[ "$1" = --version ] && exit\nexec sleep 3600\n'

# What stops is started again as often as ever, two seconds later instead of ten.
SOON = (
    f"mkdir -p /etc/systemd/system/{UNIT}.d"
    f" && printf '[Service]\\nRestartSec=2\\n' > /etc/systemd/system/{UNIT}.d/soon.conf"
)


@dataclass(frozen=True)
class Story:
    """The machine, and what happens to it."""

    versions: Versions

    @property
    def rack(self) -> Rack:
        return self.versions.rack

    def ssh(self, command: str, *, check: bool = True) -> str:
        return self.rack.machines[0].ssh(command, check=check).stdout.strip()

    def deploy(self, deploy: str = "deploys/full.py") -> Run:
        return self.rack.deploy("--json", deploy=deploy)

    def expect(self, *changes: str) -> None:
        """A deploy succeeds and changes this, and another one nothing."""
        done = self.deploy()
        assert done.code == 0, done.output
        assert done.changed == [*changes]
        again = self.deploy()
        assert again.code == 0, again.output
        assert again.changed == NO_CHANGE

    def serves(self, version: str, port: int = 8080) -> None:
        """The process, the link, the answer and the notes of the machine all say so."""
        pid = self.ssh(f"systemctl show --value --property=MainPID {UNIT}")
        assert self.ssh(f"readlink /proc/{pid}/exe") == f"{ENGINE}/{version}/bin/llama-server"
        assert self.ssh(f"readlink {ENGINE}/current") == f"{ENGINE}/{version}"
        assert ANSWER in self.rack.ask(port)
        state = json.loads(self.ssh("cat /var/lib/modelrack/state.json"))["plan"]
        assert [each["directory"] for each in state["software"]] == [f"{ENGINE}/{version}"]
        assert [each["port"] for each in state["services"]] == [port]

    def installed(self) -> set[str]:
        return set(self.ssh(f"ls -A {ENGINE}").split()) - {"current"}

    def life(self) -> str:
        return self.ssh(f"systemctl show --property=MainPID,ActiveEnterTimestamp {UNIT}")

    def proves_itself(self) -> None:
        """Nothing on the machine tells that anything went wrong."""
        command = [sys.executable, "-m", "pytest", "-q", "tests/machine"]
        proof = run([*command, "--inventory", self.rack.inventory])
        assert proof.code == 0, proof.output


@pytest.fixture(scope="module")
def story(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Story]:
    lab = lab_factory(1, name="versions")
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = Rack(lab, hub, github, tmp_path_factory.mktemp("versions"))
    rack.machines[0].ssh(SOON)
    deployed = rack.deploy("--json")
    assert deployed.code == 0, deployed.output
    yield Story(first_of(rack))


INSTALL = "llama.cpp | Install llama.cpp"
FETCH = "Weights | Fetch and verify the models"
START = "llama.cpp | Configure and start llama.cpp, and wait until it answers"
NOTE = "State | Record the deployed state"


@pytest.fixture(scope="module")
def two(story: Story) -> str:
    return story.versions.pin("two")


def test_there_is_nothing_to_go_back_to_yet(story: Story) -> None:
    story.serves(story.versions.first)
    before = story.life()
    back = story.deploy(ROLLBACK)
    assert back.code == 1
    assert f"Only {story.versions.first} of llama.cpp has served here" in back.output
    assert story.life() == before


def test_another_version_serves_and_the_one_before_it_stays(story: Story, two: str) -> None:
    story.expect(INSTALL, START)
    story.serves(two)
    assert story.installed() == {story.versions.first, two}


def test_installing_alone_disturbs_nobody(story: Story, two: str) -> None:
    story.versions.pin("unstarted")
    before = story.life()
    done = story.deploy("deploys.engines.llama_cpp.install")
    assert done.code == 0, done.output
    again = story.rack.deploy("--json", "--debug", deploy="deploys.engines.llama_cpp.install")
    assert again.changed == NO_CHANGE
    # What the machine is, and whether the version is there.
    assert again.stderr.count("Running command on ") == 2, again.stderr
    assert story.life() == before
    story.versions.pin("two")
    story.serves(two)


def test_another_port(story: Story, two: str) -> None:
    story.rack.add(
        "profile = replace(profile, services=(replace(profile.services[0], port=8090),))"
    )
    story.expect(START, NOTE)
    story.serves(two, port=8090)
    assert ":8080 " not in story.ssh("ss -Hltn")


def test_another_model(story: Story, two: str) -> None:
    story.rack.add(_model("tiny-qwen2-whole"))
    story.expect(FETCH, START, NOTE)
    story.serves(two, port=8090)
    assert "/data/models/tiny-qwen2-whole/" in story.ssh("cat /etc/modelrack/services/tiny.env")


def test_the_version_before_serves_again_by_hand(story: Story, two: str) -> None:
    first = story.versions.first
    back = story.deploy(ROLLBACK)
    assert back.code == 0, back.output
    assert f"llama.cpp {first} serves again, with the settings that it had" in back.output
    assert f"The next deploys/full.py switches to {two} again" in back.output
    story.serves(first)
    before = story.life()
    again = story.deploy(ROLLBACK)
    assert again.code == 0, again.output
    assert again.changed == NO_CHANGE
    assert story.life() == before
    story.expect(START)
    story.serves(two, port=8090)


def test_what_stops_right_away_is_taken_back(story: Story, two: str) -> None:
    broken = story.versions.pin("crashes", CRASHES)
    done = story.deploy()
    assert done.code == 1, done.output
    assert f"does not serve as planned with llama.cpp {broken}" in done.output
    assert f"llama.cpp {two} serves again, with the settings that it had" in done.output
    assert f"journalctl -u {UNIT}" in done.output
    assert "it is broken" in done.output
    story.serves(two, port=8090)
    story.proves_itself()


def test_what_never_answers_is_taken_back(story: Story, two: str) -> None:
    broken = story.versions.pin("hangs", HANGS)
    done = story.deploy(IMPATIENT)
    assert done.code == 1, done.output
    assert f"does not serve as planned with llama.cpp {broken}" in done.output
    assert f"llama.cpp {two} serves again" in done.output
    story.serves(two, port=8090)


def test_nothing_is_switched_to_what_does_not_run(story: Story, two: str) -> None:
    broken = story.versions.pin("unrunnable", DOES_NOT_RUN)
    before = story.life()
    done = story.deploy()
    assert done.code == 1, done.output
    assert f"llama.cpp {broken} does not run on this machine" in done.output
    assert "GLIBC_9.9 not found" in done.output
    assert story.life() == before
    story.serves(two, port=8090)


def test_settings_that_do_not_work_are_taken_back(story: Story, two: str, lab_hub: Hub) -> None:
    story.versions.pin("two")
    tiny_model.publish(lab_hub.root, Unloadable(architecture="llama"))
    story.rack.add(_model("tiny-llama-whole"))
    done = story.deploy()
    assert done.code == 1, done.output
    assert f"llama.cpp {two} serves again, with the settings that it had" in done.output
    story.serves(two, port=8090)
    story.rack.add(_model("tiny-qwen2-whole"))
    story.expect()


def test_killed_before_the_restart(story: Story, two: str) -> None:
    three = story.versions.pin("three")
    # A systemctl that takes its time, where root finds it first.
    slow = '#!/bin/sh\\ncase $1 in reset-failed) sleep 600;; esac\\nexec /usr/bin/systemctl "$@"'
    story.ssh(f"printf '{slow}' > /usr/local/bin/systemctl; chmod +x /usr/local/bin/systemctl")
    before = story.life()
    _kill_once(story, lambda: story.ssh(f"readlink {ENGINE}/current").endswith(three))
    assert story.life() == before
    story.ssh("rm /usr/local/bin/systemctl; pkill -f '[r]eset-failed' || true")
    assert story.life() == before
    story.expect(START)
    story.serves(three, port=8090)


def test_the_third_version_removes_the_first(story: Story, two: str) -> None:
    assert story.versions.first not in story.installed()
    assert {name.partition("-")[0] for name in story.installed()} == {"two", "three"}


def test_killed_while_it_waits_for_what_never_answers(story: Story) -> None:
    three = story.versions.pin("three")
    broken = story.versions.pin("hangs", HANGS)
    _kill_once(story, lambda: story.ssh("pgrep -u modelrack -x sleep", check=False) != "")
    assert story.ssh(f"readlink {ENGINE}/current") == f"{ENGINE}/{broken}"
    done = story.deploy(IMPATIENT)
    assert done.code == 1, done.output
    assert f"llama.cpp {three} serves again" in done.output
    story.serves(three, port=8090)
    assert story.versions.pin("three") == three
    story.expect()


def test_going_back_to_what_does_not_answer_any_more_is_taken_back(story: Story, two: str) -> None:
    story.versions.pin("three")
    three = story.ssh(f"readlink {ENGINE}/current").rpartition("/")[2]
    program = f"{ENGINE}/{two}/bin/llama-server"
    story.ssh(f"mv {program} {program}.away; ln -s /bin/false {program}")
    back = story.deploy(ROLLBACK)
    story.ssh(f"mv {program}.away {program}")
    assert back.code == 1, back.output
    assert f"llama.cpp {two} was put back" in back.output
    assert f"llama.cpp {three} serves again, with the settings that it had" in back.output
    story.serves(three, port=8090)


def test_a_killed_server_comes_back(story: Story) -> None:
    before = story.life()
    story.ssh(f"systemctl kill --signal=KILL {UNIT}")
    begun = time.monotonic()
    while ANSWER not in story.rack.ask(8090):
        assert time.monotonic() - begun < 600, "it did not come back"
        time.sleep(1)
    assert story.life() != before
    story.expect()


class Unloadable(TinyModel):
    """Whole and proven, but with a tokenizer that llama.cpp has never heard of."""

    def keys(self, variant: str) -> list[Key]:
        unknown = Key("tokenizer.ggml.pre", STRING, "unheard-of")
        return [unknown if key.name == unknown.name else key for key in super().keys(variant)]


def _model(name: str) -> str:
    repository = f"modelrack-lab/{name}-gguf"
    return f"""
profile = replace(profile, services=(replace(
    profile.services[0], merge=False,
    model=replace(
        profile.services[0].model, key={name!r}, files=("*.gguf",),
        modelscope={repository!r}, huggingface={repository!r},
    ),
),))
"""


def _kill_once(story: Story, reached: Callable[[], bool]) -> None:
    """Start a deploy and kill it when the machine is as far as that."""
    process: subprocess.Popen[str] = story.rack.start()
    begun = time.monotonic()
    while not reached():
        assert time.monotonic() - begun < 120
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    process.kill()
    process.communicate()
