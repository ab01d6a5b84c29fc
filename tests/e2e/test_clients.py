"""What people reach the models with: a chat at the shell, their cards' commands, and the bill."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai import DefaultHttpxClient, OpenAI

from tests.e2e.rack import PROJECT, Rack, Run, environment, run
from tests.e2e.terminal import Session
from tests.lab.tiny_model import ANSWER

DATA = """
from pathlib import Path
from deploys.planning.inputs.gateway import Gateway
_here = Path(__file__).parents[2]
site = replace(site, secrets=_here / "secrets")
profile = replace(profile, gateway=Gateway(host={host!r}, keys=_here / "keys.toml"))
"""
SERVICE = "llama-server@tiny"


@dataclass
class Site:
    """A machine with a gateway, and the key of each user."""

    rack: Rack
    keys: dict[str, str]

    def chat(self, *words: str, key: str = "", stdin: str | None = None) -> Run:
        """python -m deploys.chat, without a terminal."""
        done = subprocess.run(
            self.command(*words),
            cwd=PROJECT,
            env={**environment(), "MODELRACK_KEY": key},
            input=stdin or "",
            capture_output=True,
            text=True,
            start_new_session=True,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "deploys.chat", self.rack.inventory, *words]

    def at_terminal(self, *words: str) -> Session:
        """The same at a terminal; nobody answers there where the cursor is."""
        return Session(self.command(*words), PROMPT_TOOLKIT_NO_CPR="1", TERM="xterm")

    def ssh(self, command: str) -> str:
        return self.rack.machines[0].ssh(command).stdout


@pytest.fixture(scope="module")
def site(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Site]:
    lab = lab_factory(1, name="clients")
    folder = tmp_path_factory.mktemp("clients")
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = Rack(lab, hub, github, folder, DATA.format(host=lab.machines[0].address))
    keys = {}
    for user in ("alice", "bob", "carol"):
        new = ["new", user, "lab", "--keys", str(folder / "keys.toml")]
        keys[user] = run([sys.executable, "-m", "deploys.keys", *new]).stdout.strip()
    done = rack.deploy()
    assert done.code == 0, done.output
    yield Site(rack, keys)


def test_one_question_and_its_answer_through_the_tunnel(site: Site) -> None:
    assert site.chat("--once", "你好") == Run(0, f"{ANSWER}\n", "")


def test_a_question_on_standard_input(site: Site) -> None:
    assert site.chat("tiny", stdin="Are you\nthere?\n") == Run(0, f"{ANSWER}\n", "")
    nothing = site.chat(stdin="\n")
    assert (nothing.code, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith("There is no question.")


def test_through_the_gateway_with_a_key(site: Site) -> None:
    assert site.chat("--gateway", "--once", "你好", key=site.keys["alice"]).stdout == f"{ANSWER}\n"
    wrong = site.chat("--gateway", "--once", "你好", key="mr-wrong")
    assert wrong.code == 1
    assert "401: the API key is missing or not valid" in wrong.stderr
    assert "deploys.keys new USER TEAM makes one" in wrong.stderr
    nobody = site.chat("--gateway", "--once", "你好")
    assert nobody.code == 1
    assert "Put it into the variable MODELRACK_KEY" in nobody.stderr


def test_an_unknown_service_is_answered_with_those_that_there_are(site: Site) -> None:
    name = site.rack.machines[0].name
    unknown = site.chat("r1", "--once", "?")
    said = f"There is no service 'r1'. There are: tiny on {name}.\n"
    assert unknown == Run(1, "", said)


def test_a_conversation_at_a_terminal(site: Site) -> None:
    chat = site.at_terminal()
    chat.wait_for("Ctrl-D leaves.*>>>")
    for question in ("你好，世界", "And again?"):
        chat.type(f"{question}\r")
        chat.wait_for(f"{re.escape(ANSWER)}.*>>>")
    # A question that is taken back, one that the model has no room for, and a new beginning.
    chat.type("never mind\x03")
    chat.wait_for(">>> .*>>>")
    chat.type("long " * 600 + "\r")
    chat.wait_for("400: .*context.*>>>")
    chat.type("/clear\r")
    chat.wait_for(">>>")
    chat.type("Hello\r")
    chat.wait_for(f"{re.escape(ANSWER)}.*>>>")
    chat.type("\x04")
    assert chat.end().code == 0


def test_an_answer_is_stopped_and_the_next_question_asked(site: Site) -> None:
    chat = site.at_terminal()
    chat.wait_for("Ctrl-D leaves.*>>>")
    site.ssh(f"systemctl kill --signal=STOP {SERVICE}")
    try:
        chat.type("Are you there?\r")
        # It has been sent when the engine has bytes of the tunnel to read, not of the gateway's
        # questions for its health alone.
        port = "ss -tnpH state established dport = :8080 | awk '/sshd/ {print $3}' | sed 's/.*://'"
        waiting = (
            f'port=$({port}); if [ -n "$port" ]; then'
            " ss -tnH state established sport = :8080 dport = :$port | awk '$1 > 0'; fi"
        )
        deadline = time.monotonic() + 60
        while not site.ssh(waiting):
            assert time.monotonic() < deadline
        chat.type("\x03")
        chat.wait_for(r"\(stopped\).*>>>")
    finally:
        site.ssh(f"systemctl kill --signal=CONT {SERVICE}")
    chat.type("Now?\r")
    chat.wait_for(f"{re.escape(ANSWER)}.*>>>")
    chat.type("\x04")
    assert chat.end().code == 0


def test_a_key_that_is_typed_is_not_shown(site: Site) -> None:
    chat = site.at_terminal("--gateway")
    chat.wait_for("Key for https://.*: ")
    chat.type(f"{site.keys['alice']}\n")
    chat.wait_for("through https://.*>>>")
    chat.type("你好\r")
    chat.wait_for(f"{re.escape(ANSWER)}.*>>>")
    chat.type("\x04")
    done = chat.end()
    assert done.code == 0
    assert site.keys["alice"] not in done.output


def test_the_tunnel_is_closed_with_the_chat(site: Site) -> None:
    before = site.ssh("ss -tnH state established sport = :22 | wc -l")
    assert site.chat("--once", "?").code == 0
    assert site.ssh("ss -tnH state established sport = :22 | wc -l") == before


def test_an_engine_that_is_down_is_told_of_with_what_to_type(site: Site) -> None:
    site.ssh(f"systemctl stop {SERVICE}")
    down = site.chat("--once", "?")
    site.ssh(f"systemctl start {SERVICE}")
    assert (down.code, down.stdout) == (1, "")
    assert "does not answer: nothing listens on port 8080" in down.stderr
    journal = re.search(r"Its journal: .venv/bin/pyinfra (.*)\. Start it: ", down.stderr)
    assert journal
    shown = run([sys.executable, "-m", "pyinfra", *journal[1].split()])
    assert "Stopped llama-server@tiny.service" in shown.output
    assert down.stderr.endswith(f".venv/bin/pyinfra {site.rack.inventory} deploys/full.py.\n")


def test_sshd_that_forwards_nothing_is_told_of(site: Site) -> None:
    site.ssh("echo AllowTcpForwarding no > /etc/ssh/sshd_config.d/no.conf; systemctl reload ssh")
    try:
        refused = site.chat("--once", "?")
    finally:
        site.ssh("rm /etc/ssh/sshd_config.d/no.conf; systemctl reload ssh")
    assert refused.code == 1
    assert "forwards no ports. Set AllowTcpForwarding" in refused.stderr
    assert "--gateway" in refused.stderr


def cards(site: Site, locale: str) -> Path:
    """The folder of the gateway's cards, made anew."""
    folder = site.rack.folder / "cards"
    options = ("--data", f"folder={folder}", "--data", f"locale={locale}")
    done = site.rack.deploy(*options, deploy="deploys/cards.py")
    assert done.code == 0, done.output
    return folder / site.rack.machines[0].address


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_the_commands_of_a_card_do_what_it_says(site: Site, locale: str) -> None:
    folder = cards(site, locale)
    text = (folder / "bob.md").read_text()
    assert not any(
        key in page.read_text() for page in folder.iterdir() for key in site.keys.values()
    )
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
    (program,) = [block for language, block in blocks if language == "python"]
    (folder / "ask.py").write_text(program)
    fingerprint, key, curl, python = [block for language, block in blocks if language == "sh"]

    def typed(command: str, stdin: str = "", **variables: str) -> str:
        # What this computer trusts of its own is not what a user has.
        known = {name: value for name, value in os.environ.items() if "CERT" not in name}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", command],
            **{"cwd": folder, "input": stdin, "capture_output": True, "text": True},
            env={**known, "PATH": path, "no_proxy": "*", **variables},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert typed(fingerprint).strip().partition("=")[2] in text
    asked = typed(f"{key}printf %s $MODELRACK_KEY", stdin=f"{site.keys['bob']}\n")
    assert asked == site.keys["bob"]
    answer = json.loads(typed(curl, MODELRACK_KEY=asked))
    assert answer["choices"][0]["message"]["content"] == ANSWER
    assert typed(python, MODELRACK_KEY=asked) == f"{ANSWER}\n"


def test_the_bill_is_what_was_asked(site: Site) -> None:
    trust = ssl.create_default_context(cafile=site.rack.folder / "secrets" / "site-ca.pem")
    client = OpenAI(
        base_url=f"https://{site.rack.machines[0].address}/v1",
        api_key=site.keys["carol"],
        http_client=DefaultHttpxClient(verify=trust, trust_env=False),
    )
    spent = [0, 0]
    for words in ("Hello", "Hello again, and a little more of it"):
        answer = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": words}]
        )
        assert answer.usage
        spent[0] += answer.usage.prompt_tokens
        spent[1] += answer.usage.completion_tokens

    def bill() -> list[dict[str, str]]:
        done = site.rack.deploy("--data", "format=csv", deploy="deploys/usage.py")
        assert done.code == 0, done.output
        return [row for row in csv.DictReader(io.StringIO(done.stdout)) if row["user"] == "carol"]

    deadline = time.monotonic() + 60
    while not (rows := bill()) or rows[0]["answers"] != "2":
        assert time.monotonic() < deadline, rows
    (row,) = rows
    assert (row["team"], row["model"], row["estimated_answers"]) == ("lab", "tiny", "0")
    assert [int(row["tokens_in"]), int(row["tokens_out"])] == spent
    table = site.rack.deploy(deploy="deploys/usage.py").stdout
    (line,) = [line.split() for line in table.splitlines() if " carol " in line]
    assert line[:7] == [row["month"], "lab", "carol", "tiny", "2", *map(str, spent)]
