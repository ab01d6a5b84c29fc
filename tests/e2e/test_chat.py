"""The chat page: people sign in, and what they ask goes through the gateway and is counted."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.e2e import alive
from tests.e2e.chat_page import (
    ADMIN,
    DATA,
    HOST,
    PASSWORD,
    UNIT,
    ChatPage,
    ask,
    keep,
    prepared,
    titles,
)
from tests.e2e.rack import Rack, Run, run
from tests.e2e.whole_life import audit
from tests.lab.tiny_model import ANSWER
from tests.lab.tree import cache_root

# The same model makes vectors, as a service of its own.
VECTORS = """
(_tiny,) = profile.services
_vectors = replace(_tiny, name="vectors", port=8081, task="embed", options={"pooling": "last"})
profile = replace(profile, services=(_tiny, _vectors))
del _tiny, _vectors
"""
KEY = "/etc/modelrack/secrets/webui-key.env"
ROOMS = [f"The rack in room {number} holds nine machines." for number in range(1, 5)]
MAKE = "Chat page | Make the password of the first administrator"
START = "Chat page | Start the chat page, and wait until it answers"
STOP = "Chat page | Disable the chat page"


@pytest.fixture(scope="module")
def deployed(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[tuple[ChatPage, Run]]:
    # What was fetched of the package index once is there for the next machine.
    kept = cache_root().parent / "uv"
    kept.mkdir(exist_ok=True)
    binds = (f"{kept}:/var/cache/modelrack/uv",)
    lab = lab_factory(1, name="chat", binds=binds, in_memory=True)
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = prepared(Rack(lab, hub, github, tmp_path_factory.mktemp("chat"), DATA + VECTORS))
    yield ChatPage(rack, lab.machines[0]), rack.deploy("--json")


@pytest.fixture
def page(deployed: tuple[ChatPage, Run]) -> ChatPage:
    return deployed[0]


def test_the_run_says_how_to_sign_in_and_shows_no_password(
    deployed: tuple[ChatPage, Run],
) -> None:
    page, first = deployed
    assert first.code == 0, first.output
    assert f"first administrator is {ADMIN}" in first.stderr
    assert f"grep PASSWORD {PASSWORD}" in first.stderr
    assert len(page.password) == 20
    assert page.password not in first.output
    shown = page.machine.ssh(f"stat -c '%a %U' {PASSWORD}; cat /var/lib/modelrack/state.json")
    assert shown.stdout.startswith("600 root\n")
    assert page.password not in shown.stdout


def test_a_second_deploy_changes_nothing(page: ChatPage) -> None:
    before = page.main_pid()
    again = page.rack.deploy("--json", "-vvv", "--debug")
    assert again.code == 0, again.output
    assert again.changed == []
    assert page.main_pid() == before
    assert page.password not in again.output


def test_the_machine_proves_it(page: ChatPage) -> None:
    proof = run(
        [sys.executable, "-m", "pytest", "-q", "tests/machine", "--inventory", page.rack.inventory]
    )
    assert proof.code == 0, proof.output


def test_nobody_signs_up(page: ChatPage) -> None:
    with page.visitor() as client:
        settings = client.get("/api/config").json()
        assert settings["features"]["enable_signup"] is False
        assert settings["default_locale"] == "zh-CN"
        account = {"name": "x", "email": "x@ai.lab", "password": "x" * 20}
        assert client.post("/api/v1/auths/signup", json=account).status_code == 403
        assert client.get("/api/models").status_code == 401


def test_a_question_goes_through_the_gateway_and_is_counted(page: ChatPage) -> None:
    with page.administrator() as client:
        models = [model["id"] for model in client.get("/api/models").json()["data"]]
        assert models == ["tiny"]
        before = len(page.log())
        assert ask(client, "你好") == ANSWER
    *_, last = page.counted(before + 1)
    assert len(page.log()) == before + 1
    assert (last["team"], last["model"], last["status"]) == ("chat page", "tiny", 200)
    assert last["tokens_out"] > 0
    assert not last["estimated"]


def test_of_a_file_what_fits_the_question_goes_to_the_model(page: ChatPage) -> None:
    with page.administrator() as client:
        answers = len(page.log())
        file = {"file": ("rooms.txt", "\n".join(ROOMS), "text/plain")}
        sent = client.post("/api/v1/files/", files=file)
        assert sent.status_code == 200, sent.text
        at = f"/api/v1/files/{sent.json()['id']}/process/status"
        page.wait_for(lambda: client.get(at).json()["status"] == "completed")
        read = page.log("/v1/embeddings")
        assert ask(client, "Where?", files=[{"type": "file", "id": sent.json()["id"]}])
    asked = page.log("/v1/embeddings")[len(read) :]
    *_, last = page.counted(answers + 1)
    # The file became vectors when it came, and the question when asked; what fits went along.
    letters = len("".join(ROOMS))
    assert sum(line["tokens_in"] for line in read) > letters / 2
    assert len(asked) == 1 and 0 < asked[0]["tokens_in"] < letters / 2
    assert {(line["model"], line["status"]) for line in (*read, *asked)} == {("vectors", 200)}
    assert last["tokens_in"] > letters / 2


def test_it_listens_to_the_gateway_alone(page: ChatPage) -> None:
    listening = page.machine.ssh("ss -Htnlp | grep open-webui").stdout.splitlines()
    assert [line.split()[3] for line in listening] == ["127.0.0.1:3000"]
    shown = page.machine.ssh(f"systemctl show -p IPAddressAllow -p IPAddressDeny {UNIT}").stdout
    assert "IPAddressAllow=127.0.0.2/32\n" in shown
    assert {"::/0", "0.0.0.0/0"} <= {*shown.partition("IPAddressDeny=")[2].split()}


def test_killed_it_comes_back_as_it_was_deployed(page: ChatPage) -> None:
    def answers() -> bool:
        up = page.machine.ssh("curl -sf http://127.0.0.1:3000/health", check=False)
        return up.returncode == 0

    alive.survives(page.machine, UNIT.removesuffix(".service"), answers)
    came_back = page.main_pid()
    # It answers before it has finished starting; a run that meets it busy waits, and does no more.
    assert set(page.rack.deploy("--json").changed) <= {START}
    assert page.rack.deploy("--json").changed == []
    assert page.main_pid() == came_back


LOST = f"/var/lib/modelrack-webui {PASSWORD} {KEY} /etc/modelrack/gateway/chat.map"


def test_a_backup_brings_back_what_people_keep(page: ChatPage) -> None:
    """Taken while the page runs, and onto a machine that has nothing of it."""
    password, key = page.password, page.machine.ssh(f"sha256sum {KEY}").stdout
    with page.administrator() as client:
        keep(client, "before the fire")
        kept = titles(client)
    folder = page.rack.folder / ".lab/sandbox/backups"
    taken = page.rack.deploy("--data", f"output={folder}", deploy="deploys/backup.py")
    assert taken.code == 0, taken.output
    page.machine.ssh(f"systemctl stop {UNIT}; rm -r {LOST}")
    page.rack.add('site = replace(site, restore=_folder / "backups")')
    done = page.rack.deploy("--json")
    assert done.code == 0, done.output
    assert "Backup | Put back keys, certificates and data" in done.changed
    assert MAKE not in done.changed
    assert (page.password, page.machine.ssh(f"sha256sum {KEY}").stdout) == (password, key)
    page.wait()
    with page.administrator() as client:
        assert titles(client) == kept
    assert page.rack.deploy("--json").changed == []
    assert audit(page.rack) == []


def test_passwords_are_not_guessed(page: ChatPage) -> None:
    """Last of those that sign in: the gateway counts attempts by address."""
    with page.visitor() as client:
        guess = {"email": "nobody@ai.lab", "password": "wrong"}
        tried = [client.post("/api/v1/auths/signin", json=guess) for _ in range(12)]
    assert tried[0].status_code == 400
    assert tried[-1].status_code == 429
    assert tried[-1].headers["retry-after"] == "60"


def test_taken_out_of_the_profile_it_ends_and_keeps_its_data(page: ChatPage) -> None:
    page.rack.add("profile = replace(profile, gateway=replace(profile.gateway, chat=None))")
    done = page.rack.deploy("--json")
    assert done.code == 0, done.output
    assert STOP in done.changed
    assert page.machine.ssh(f"systemctl is-active {UNIT}", check=False).stdout == "inactive\n"
    assert page.machine.ssh("ls /var/lib/modelrack-webui/webui.db").returncode == 0
    with page.visitor() as client:
        assert client.get("/").status_code == 404
    assert page.rack.deploy("--json").changed == []


def test_the_certificate_is_of_its_name(page: ChatPage) -> None:
    """What the tests above have connected to is what a browser would."""
    names = page.machine.ssh(
        f"openssl s_client -connect 127.0.0.1:443 -servername {HOST} </dev/null 2>/dev/null"
        " | openssl x509 -noout -ext subjectAltName"
    ).stdout
    assert f"DNS:{HOST}" in names
