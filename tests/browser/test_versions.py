"""The chat page across versions and machines: what people have kept there stays.

The tests are one story: each begins with what the one before it has left.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from deploys.planning.inputs.site import Site
from tests.e2e.chat_page import DATA, UNIT, ChatPage, keep, prepared, titles
from tests.e2e.rack import Rack
from tests.lab import Lab
from tests.lab.tree import cache_root

ENGINES = Site().locks / "engines"
LOCK = "open-webui.txt"
FOLDER, SOFTWARE = "/var/lib/modelrack-webui", "/opt/modelrack/engines/open-webui"
# An older one, whose database the newer one changes. Its lock is the newer's but for these.
OLDER = {
    "open-webui": """\
open-webui==0.12.0 \\
    --hash=sha256:27da8c9b8228bf72b12ac3fe18ac16a129fa636cbd6352d5bdb6396e1e7f97fd
""",
    "mcp": """\
mcp==1.27.2 \\
    --hash=sha256:d6ff5160c6ca65d93013626efb3fc249de683c30b2d8570755ceddd490344de5
httpx-sse==0.4.3 \\
    --hash=sha256:0ac1c9fe3c0afad2e0ebb25a934a59f4c7823b60792691f779fad2c5568830fc
""",
}
# Wanted by the page as soon as its database is changed, and by nothing that is tried before.
MISSING = "ldap3"
# Locks come from the rack's own folder.
OWN_LOCKS = """
from deploys.control import locks as _locks
_locks._ENGINES = _folder / "engines"
del _locks
"""


@dataclass(frozen=True)
class Story:
    """The page on a first machine, and a second machine beside it."""

    page: ChatPage
    lab: Lab

    def lock(self, text: str) -> None:
        """Install the page from this lock from now on."""
        (self.page.rack.folder / ".lab/sandbox/engines" / LOCK).write_text(text)

    def serves(self, version: str) -> None:
        """The link and the page say so."""
        link = self.page.machine.ssh(f"readlink {SOFTWARE}/current").stdout
        assert f"/{version}-" in link
        with self.page.visitor() as client:
            assert client.get("/api/version").json()["version"] == version

    def titles(self) -> list[str]:
        with self.page.administrator() as client:
            return titles(client)


def _block(text: str, package: str) -> str:
    """The lines of a lock about one package."""
    (found,) = re.findall(rf"^{package}==.*\n(?: +.*\n)*", text, re.MULTILINE)
    return str(found)


NEWER = (ENGINES / LOCK).read_text()
VERSION = _block(NEWER, "open-webui").split()[0].partition("==")[2]


@pytest.fixture(scope="module")
def story(lab_factory, lab_hub, lab_github, tmp_path_factory) -> Iterator[Story]:
    kept = cache_root().parent / "uv"
    kept.mkdir(exist_ok=True)
    lab = lab_factory(1, name="versions", binds=(f"{kept}:/var/cache/modelrack/uv",))
    hub, github = lab_hub.listen(lab.host), lab_github.listen(lab.host)
    rack = prepared(Rack(lab, hub, github, tmp_path_factory.mktemp("page"), DATA + OWN_LOCKS))
    shutil.copytree(ENGINES, rack.folder / ".lab/sandbox/engines")
    yield Story(ChatPage(rack, lab.machines[0]), lab)


def test_an_older_version_is_in_use(story: Story) -> None:
    text = NEWER
    for package, pins in OLDER.items():
        text = text.replace(_block(NEWER, package), pins)
    story.lock(text)
    done = story.page.rack.deploy()
    assert done.code == 0, done.output
    story.serves("0.12.0")
    with story.page.administrator() as client:
        keep(client, "of the older one")


def test_one_that_does_not_start_is_taken_back_with_its_changes_of_the_database(
    story: Story,
) -> None:
    story.lock(NEWER.replace(_block(NEWER, MISSING), ""))
    done = story.page.rack.deploy()
    assert done.code == 1, done.output
    assert "open-webui 0.12.0-" in done.output
    assert "serves again, with the settings that it had" in done.output
    story.serves("0.12.0")
    assert story.titles() == ["of the older one"]
    # It had changed it, or this would have shown nothing.
    kept = story.page.machine.ssh(f"ls {FOLDER}/layouts").stdout.split()
    assert len(kept) == 2


def test_a_newer_version_takes_over_what_is_there(story: Story) -> None:
    story.lock(NEWER)
    done = story.page.rack.deploy()
    assert done.code == 0, done.output
    story.serves(VERSION)
    assert story.titles() == ["of the older one"]
    with story.page.administrator() as client:
        keep(client, "of the newer one")
    assert story.page.rack.deploy("--json").changed == []


def test_it_is_moved_by_its_folder(story: Story) -> None:
    page, rack = story.page, story.page.rack
    (other,) = story.lab.add("elsewhere")
    password = page.password
    rack.point_to([other], rack.told["hub"], rack.told["github"])
    done = rack.deploy()
    assert done.code == 0, done.output
    for machine in (page.machine, other):
        machine.ssh(f"systemctl stop {UNIT}")
    pack = [*page.machine.ssh_command(), f"tar -C {FOLDER} -cf - ."]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packed:
        command = (
            f"find {FOLDER} -mindepth 1 -delete; tar -C {FOLDER} -xf -; systemctl start {UNIT}"
        )
        subprocess.run([*other.ssh_command(), command], stdin=packed.stdout, check=True)
    moved = ChatPage(rack, other)
    moved.wait()
    with moved.administrator(password) as client:
        assert titles(client) == ["of the newer one", "of the older one"]
    assert rack.deploy("--json").changed == []
    page.machine.ssh(f"systemctl start {UNIT}")
    page.wait()
    rack.point_to([page.machine], rack.told["hub"], rack.told["github"])


def test_going_back_by_hand_puts_aside_what_the_newer_one_wrote(story: Story) -> None:
    options = ("--data", "engine=open-webui")
    done = story.page.rack.deploy(*options, deploy="deploys/rollback.py")
    assert done.code == 0, done.output
    story.serves("0.12.0")
    assert story.titles() == ["of the older one"]
    said = story.page.machine.ssh(f"journalctl -u {UNIT} --no-pager --output=cat").stdout
    assert "the newer one is kept as /var/lib/modelrack-webui/layouts/" in said
