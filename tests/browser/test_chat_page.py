"""A person at another machine asks, sees the answer come, and asks about a file: in two languages.

The second visit begins where the first has ended, after the page was deployed in English.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.desk import Desk, playwright
from tests.browser.file import pdf
from tests.e2e.chat_page import ADMIN, DATA, HOST, ChatPage, prepared
from tests.e2e.rack import PROJECT, Rack
from tests.lab import leaving
from tests.lab.machine import Machine
from tests.lab.tiny_model import ANSWER
from tests.lab.tree import cache_root

LINES = [f"The rack in room {number} holds nine machines." for number in range(1, 5)]
PICTURES = PROJECT / "build" / "browser"


@dataclass(frozen=True)
class Visit:
    """One visit, and what left the lab meanwhile."""

    page: ChatPage
    desk: Desk
    seen: dict[str, Any]
    left: dict[str, int]
    packets: Callable[[Machine], int]


@pytest.fixture(scope="module")
def visit(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Visit]:
    kept = cache_root().parent / "uv"
    kept.mkdir(exist_ok=True)
    binds = (f"{kept}:/var/cache/modelrack/uv", f"{playwright()}:/opt/playwright")
    lab = lab_factory(1, name="browser", binds=binds, in_memory=True)
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = prepared(Rack(lab, hub, github, tmp_path_factory.mktemp("browser"), DATA))
    done = rack.deploy()
    assert done.code == 0, done.output
    page = ChatPage(rack, lab.machines[0])
    desk = Desk.beside(lab, page.machine, HOST, page.ca)
    desk.machine.ssh("base64 -d > /root/rooms.pdf", stdin=b64encode(pdf(LINES)).decode())
    with leaving.counted(lab) as packets:
        # It starts anew while it is counted: that is when programs ask for newer versions.
        page.machine.ssh("systemctl restart modelrack-webui")
        page.wait()
        seen = see(
            desk, page, "zh-CN", question="你好，你在吗？", about="文件里写了什么？", first=True
        )
        left = {machine.name: packets(machine) for machine in lab.machines}
        yield Visit(page, desk, seen, left, packets)


def see(desk: Desk, page: ChatPage, language: str, **said: Any) -> dict[str, Any]:
    """What the first administrator sees, in a language."""
    return desk.visit(
        PICTURES / language,
        url=f"https://{HOST}/",
        email=ADMIN,
        password=page.password,
        pdf="/root/rooms.pdf",
        language=language,
        **said,
    )


def test_it_greets_in_chinese(visit: Visit) -> None:
    assert visit.seen["language"] == "zh-CN"


def test_a_question_is_answered_piece_by_piece(visit: Visit) -> None:
    assert visit.seen["answer"] == ANSWER
    # Of two answers, each of a dozen words.
    assert visit.seen["pieces"] >= 20, visit.seen["pieces"]


def test_a_file_is_read_and_goes_to_the_model_whole(visit: Visit) -> None:
    assert ANSWER in visit.seen["about"]
    first, second = visit.page.counted(2)
    # One token a letter and a little less, where the model knows some pairs of letters.
    assert second["tokens_in"] - first["tokens_in"] > len("".join(LINES)) / 2
    # And nothing was asked that nobody saw.
    assert len(visit.page.log()) == 2


def test_who_has_signed_out_is_out(visit: Visit) -> None:
    assert visit.seen["signed_out"] == 401


def test_the_browser_asked_no_other_host(visit: Visit) -> None:
    hosts = {urlsplit(address).netloc for address in visit.seen["addresses"]}
    assert hosts - {""} == {HOST}
    assert any(address.startswith("wss://") for address in visit.seen["addresses"])


def test_neither_machine_sent_anything_out_of_the_lab(visit: Visit) -> None:
    assert visit.left == {machine: 0 for machine in visit.left}
    # It would have been seen.
    for machine in (visit.page.machine, visit.desk.machine):
        machine.ssh("curl -sm 2 http://192.0.2.1/", check=False)
        assert visit.packets(machine) > 0


def test_each_step_is_a_picture(visit: Visit) -> None:
    """To be looked at by a person; here it is only there and not empty."""
    pictures = sorted((PICTURES / "zh-CN").glob("*.png"))
    assert [path.name[0] for path in pictures] == ["1", "2", "3", "4", "5"]
    assert all(path.stat().st_size > 5000 for path in pictures)


def test_in_english_it_is_the_same(visit: Visit) -> None:
    page = visit.page
    page.rack.add("""
_chat = replace(profile.gateway.chat, locale="en-US")
profile = replace(profile, gateway=replace(profile.gateway, chat=_chat))
del _chat
""")
    done = page.rack.deploy("--json", deploy="deploys.stages.chat.start")
    assert done.code == 0, done.output
    assert len(done.changed) == 1, done.changed
    page.wait()
    said = {"question": "Are you there?", "about": "What does the file say?", "first": False}
    seen = see(visit.desk, page, "en-US", **said)
    assert (seen["language"], seen["answer"], seen["signed_out"]) == ("en-US", ANSWER, 401)
    assert ANSWER in seen["about"]
    assert {urlsplit(address).netloc for address in seen["addresses"]} - {""} == {HOST}
    assert len([*(PICTURES / "en-US").glob("*.png")]) == 5
