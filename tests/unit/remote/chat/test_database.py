"""Each version of the chat page finds a database that it can read, and none is lost."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deploys.remote.chat import database
from deploys.remote.lib.failure import Failure


def _version(folder: Path, *layouts: str) -> Path:
    """A version of the page that knows these layouts, each after the one before it."""
    scripts = folder / "lib/python3.12/site-packages/open_webui/migrations/versions"
    scripts.mkdir(parents=True)
    for before, layout in zip((None, *layouts), layouts, strict=False):
        (scripts / f"{layout}_what_it_changes.py").write_text(
            f"revision: str = '{layout}'\ndown_revision: Union[str, None] = {before!r}\n"
        )
    return folder


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return _version(tmp_path / "old", "a1", "b2")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return _version(tmp_path / "new", "a1", "b2", "c3", "d4")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "webui.db")) as connection:
        connection.execute("pragma journal_mode=wal")
        connection.execute("create table alembic_version (version_num text)")
        connection.execute("create table chat (title text)")
        connection.execute("insert into alembic_version values ('b2')")
        connection.execute("insert into chat values ('before')")
        connection.commit()
    return folder


def _change(data: Path, layout: str, title: str) -> None:
    with closing(sqlite3.connect(data / "webui.db")) as connection:
        connection.execute("update alembic_version set version_num = ?", [layout])
        connection.execute("insert into chat values (?)", [title])
        connection.commit()


def _titles(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [title for (title,) in connection.execute("select title from chat")]


def test_the_version_that_made_it_goes_on_with_it(data: Path, old: Path) -> None:
    assert database.prepare(data, old) == ""
    assert not (data / "layouts").exists()


def test_a_newer_version_leaves_a_copy_behind(data: Path, new: Path) -> None:
    said = database.prepare(data, new)
    assert str(data / "layouts/b2.db") in said
    assert _titles(data / "layouts/b2.db") == _titles(data / "webui.db") == ["before"]
    assert (data / "layouts").stat().st_mode & 0o777 == 0o700
    assert (data / "layouts/b2.db").stat().st_mode & 0o777 == 0o600


def test_the_older_version_finds_its_own_again_and_the_newer_one_is_kept(
    data: Path, old: Path, new: Path
) -> None:
    database.prepare(data, new)
    _change(data, "d4", "after")
    said = database.prepare(data, old)
    assert str(data / "layouts/d4.db") in said
    assert _titles(data / "webui.db") == ["before"]
    assert _titles(data / "layouts/d4.db") == ["before", "after"]
    assert database.prepare(data, old) == ""
    # And forward again, from what the older one has.
    assert str(data / "layouts/b2.db") in database.prepare(data, new)
    assert {path.name for path in data.iterdir()} == {"webui.db", "layouts"}


def test_what_only_the_journal_holds_is_copied_too(data: Path, new: Path) -> None:
    """A process that was killed has not written its last words into the database itself."""
    open_connection = sqlite3.connect(data / "webui.db")
    open_connection.execute("insert into chat values ('in the journal')")
    open_connection.commit()
    for name in ("webui.db", "webui.db-wal"):
        os.link(data / name, data / f"killed-{name}")
    killed = data.parent / "killed"
    killed.mkdir()
    for name in ("webui.db", "webui.db-wal"):
        (killed / name).write_bytes((data / f"killed-{name}").read_bytes())
    open_connection.close()
    assert (killed / "webui.db-wal").stat().st_size > 0
    database.prepare(killed, new)
    assert "in the journal" in _titles(killed / "layouts/b2.db")


def test_without_a_copy_that_it_can_read_an_older_version_does_not_start(
    data: Path, old: Path
) -> None:
    _change(data, "d4", "after")
    with pytest.raises(Failure, match=r"layout d4.*Deploy the newer version again"):
        database.prepare(data, old)
    assert _titles(data / "webui.db") == ["before", "after"]


def test_copies_do_not_pile_up(data: Path, tmp_path: Path) -> None:
    layouts = ["a1", "b2"]
    for number in range(5):
        layouts.append(f"n{number}")
        database.prepare(data, _version(tmp_path / f"version{number}", *layouts))
        os.utime(data / "layouts" / f"{layouts[-2]}.db", (number, number))
        _change(data, layouts[-1], str(number))
    kept = {path.name for path in (data / "layouts").iterdir()}
    assert kept == {"n1.db", "n2.db", "n3.db"}


def test_the_oldest_copy_may_be_the_one_that_is_needed(data: Path, old: Path, new: Path) -> None:
    database.prepare(data, new)
    _change(data, "d4", "after")
    (data / "layouts/b2.db").touch()
    os.utime(data / "layouts/b2.db", (1, 1))
    for name in ("x", "y"):
        (data / f"layouts/{name}.db").write_bytes(b"")
    database.prepare(data, old)
    assert _titles(data / "webui.db") == ["before"]
    assert _titles(data / "layouts/d4.db") == ["before", "after"]


@pytest.mark.parametrize("half", ["nothing", "an empty file", "no layout yet"])
def test_a_first_start_and_one_that_was_killed_are_left_alone(
    tmp_path: Path, new: Path, half: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    if half == "an empty file":
        (data / "webui.db").touch()
    if half == "no layout yet":
        with closing(sqlite3.connect(data / "webui.db")) as connection:
            connection.execute("create table alembic_version (version_num text)")
    assert database.prepare(data, new) == ""


def test_a_broken_database_is_said_to_be_one(tmp_path: Path, new: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "webui.db").write_bytes(b"x" * 4096)
    with pytest.raises(Failure, match="Restore a backup"):
        database.prepare(data, new)
    assert (data / "webui.db").read_bytes() == b"x" * 4096


def test_a_version_without_layouts_is_a_broken_one(data: Path, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="have it installed anew"):
        database.prepare(data, tmp_path)
