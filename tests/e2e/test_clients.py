"""What people reach the models with: a chat at the shell, their cards' commands, and the bill."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from openai import DefaultHttpxClient, NotFoundError, OpenAI

from tests.e2e.client_site import Site, client_site
from tests.e2e.rack import Run, run
from tests.lab import tiny_projector
from tests.lab.tiny_model import ANSWER

site = client_site

SERVICE = "llama-server@tiny"


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
    names = ", ".join(f"{each} on {name}" for each in ("tiny", "encoder", "ranker", "reader"))
    said = f"There is no service 'r1'. There are: {names}.\n"
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
    shell = [block for language, block in blocks if language == "sh"]
    fingerprint, key, curl, vectors, ranks, python = shell

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
    assert len(json.loads(typed(vectors, MODELRACK_KEY=asked))["data"]) == 2
    assert len(json.loads(typed(ranks, MODELRACK_KEY=asked))["results"]) == 2
    assert typed(python, MODELRACK_KEY=asked) == f"{ANSWER}\n"


def openai(site: Site, user: str) -> OpenAI:
    """openai-python as a user of the gateway has it."""
    trust = ssl.create_default_context(cafile=site.rack.folder / "secrets" / "site-ca.pem")
    return OpenAI(
        base_url=f"https://{site.rack.machines[0].address}/v1",
        api_key=site.keys[user],
        max_retries=0,
        http_client=DefaultHttpxClient(verify=trust, trust_env=False),
    )


def newest(site: Site) -> dict[str, Any]:
    """The last line of the usage log."""
    read = "journalctl --namespace=modelrack-gateway"
    lines = site.ssh(f"{read} --sync; {read} -q --no-pager --output=cat").splitlines()
    line: dict[str, Any] = json.loads([each for each in lines if each.startswith("{")][-1])
    return line


# More tokens than llama.cpp reads at once by itself.
LONG = "far " * 200


@pytest.mark.parametrize("model", ["encoder", "reader"])
def test_vectors_are_those_of_the_texts_and_their_tokens_are_counted(
    site: Site, model: str
) -> None:
    client = openai(site, "alice")
    # A context of 512 tokens is all that the model which was made to write has here.
    texts = ["Hello", "Goodbye", LONG if model == "encoder" else LONG[:400]]
    made = client.embeddings.create(model=model, input=texts)
    vectors = [entry.embedding for entry in made.data]
    assert [len(vector) for vector in vectors] == [64] * 3
    assert vectors[0] != vectors[1] != vectors[2]
    again = client.embeddings.create(model=model, input="Goodbye").data[0].embedding
    assert again == pytest.approx(vectors[1], abs=1e-3)
    line = newest(site)
    assert (line["model"], line["path"]) == (model, "/v1/embeddings")
    assert line["tokens_in"] < made.usage.prompt_tokens
    client.embeddings.create(model=model, input=texts)
    line = newest(site)
    assert (line["tokens_in"], line["tokens_out"]) == (made.usage.prompt_tokens, 0)
    assert line["estimated"] is False


def test_texts_are_ranked(site: Site) -> None:
    body = {"model": "ranker", "query": "Hello", "documents": ["Goodbye", LONG, "data: {"]}
    reply = openai(site, "alice").post("/rerank", body=body, cast_to=dict[str, Any])
    assert sorted(entry["index"] for entry in reply["results"]) == [0, 1, 2]
    scores = [entry["relevance_score"] for entry in reply["results"]]
    assert scores == sorted(scores, reverse=True)
    assert len({*scores}) == 3
    line = newest(site)
    assert (line["tokens_in"], line["tokens_out"]) == (reply["usage"]["prompt_tokens"], 0)


@pytest.mark.parametrize(
    ("model", "path", "instead"),
    [
        ("tiny", "/embeddings", "/v1/chat/completions"),
        ("tiny", "/rerank", "/v1/chat/completions"),
        ("encoder", "/chat/completions", "/v1/embeddings"),
        ("ranker", "/embeddings", "/v1/rerank"),
    ],
)
def test_a_model_is_not_asked_for_what_it_does_not_do(
    site: Site, model: str, path: str, instead: str
) -> None:
    with pytest.raises(NotFoundError) as refused:
        openai(site, "alice").post(path, body={"model": model}, cast_to=object)
    error: Any = refused.value.body
    assert error["message"].endswith(f": ask it at {instead}")
    assert error["type"] == "invalid_request_error"


def test_a_chat_with_what_writes_no_answers_is_told_where_it_is_asked(site: Site) -> None:
    refused = site.chat("encoder", "--once", "?")
    assert refused.code == 1
    assert "encoder on " in refused.stderr
    assert "writes no answers: its task is embed" in refused.stderr
    assert "/v1/embeddings" in refused.stderr


def test_an_image_is_read_with_its_question(site: Site) -> None:
    url = f"data:image/png;base64,{base64.b64encode(tiny_projector.image()).decode()}"
    text: Any = {"type": "text", "text": "What is that?"}
    image: Any = {"type": "image_url", "image_url": {"url": url}}
    read = []
    for content in ([text], [text, image]):
        answer = openai(site, "alice").chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": content}], temperature=0
        )
        assert answer.choices[0].message.content == ANSWER
        assert answer.usage
        read.append(answer.usage.prompt_tokens)
    assert read[1] - read[0] == tiny_projector.TOKENS


def test_the_machine_proves_each_task(site: Site) -> None:
    proof = run(
        [
            *(sys.executable, "-m", "pytest", "-q", "tests/machine/test_services.py"),
            *("--inventory", site.rack.inventory, "-k", "question or measured or weights"),
        ]
    )
    assert proof.code == 0, proof.output
    assert " passed" in proof.stdout


def test_a_second_run_changes_nothing(site: Site) -> None:
    again = site.rack.deploy("--json")
    assert again.code == 0, again.output
    assert again.changed == []


def test_the_bill_is_what_was_asked(site: Site) -> None:
    client = openai(site, "carol")
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
