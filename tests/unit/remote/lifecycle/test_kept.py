"""A backup has what there is, whole, and is put back where it is missing."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from deploys.remote.lib.failure import Failure
from deploys.remote.lifecycle.kept import pack, put

KEY, DATA, GONE = Path("/etc/key.pem"), Path("/var/data"), Path("/etc/gone")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    root = tmp_path / "machine"
    (root / "etc").mkdir(parents=True)
    (root / "var/data/files").mkdir(parents=True)
    (root / "etc/key.pem").write_text("secret")
    (root / "etc/key.pem").chmod(0o640)
    (root / "var/data/files/a").write_text("a file")
    (root / "var/data/files").chmod(0o700)
    (root / "var/data/now").symlink_to("files/a")
    return root


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as packed:
        return packed.getnames()


def test_it_is_packed_for_its_owner_alone_and_put_back_as_it_was(
    machine: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "kept.tar.gz"
    assert pack(archive, [KEY, DATA, GONE], machine) == [str(KEY), str(DATA)]
    assert archive.stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other"
    other.mkdir()
    assert put(archive, [KEY, DATA, GONE], other) == [str(KEY), str(DATA)]
    assert (other / "etc/key.pem").read_text() == "secret"
    assert (other / "etc/key.pem").stat().st_mode & 0o777 == 0o640
    assert (other / "var/data/files").stat().st_mode & 0o777 == 0o700
    assert (other / "var/data/now").readlink() == Path("files/a")
    assert (other / "var/data/files/a").read_text() == "a file"
    assert sorted(each.name for each in other.rglob("*") if "tmp" in each.name) == []


def test_what_is_there_is_not_replaced(machine: Path, tmp_path: Path) -> None:
    archive = tmp_path / "kept.tar.gz"
    pack(archive, [KEY, DATA], machine)
    (machine / "etc/key.pem").write_text("newer")
    (machine / "var/data/now").unlink()
    assert put(archive, [KEY, DATA], machine) == []
    assert (machine / "etc/key.pem").read_text() == "newer"
    assert not (machine / "var/data/now").exists()


def test_a_database_is_copied_while_it_is_written_to(machine: Path, tmp_path: Path) -> None:
    archive = tmp_path / "kept.tar.gz"
    with closing(sqlite3.connect(machine / "var/data/webui.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE chats (title)")
        database.execute("INSERT INTO chats VALUES ('kept')")
        database.commit()
        # In the journal alone, and not yet sure.
        assert (machine / "var/data/webui.db-wal").stat().st_size
        database.execute("INSERT INTO chats VALUES ('unsaid')")
        pack(archive, [DATA], machine)
    assert "var/data/webui.db-wal" not in names(archive)
    other = tmp_path / "other"
    other.mkdir()
    put(archive, [DATA], other)
    with closing(sqlite3.connect(other / "var/data/webui.db")) as database:
        assert database.execute("SELECT title FROM chats").fetchall() == [("kept",)]


@pytest.mark.parametrize("name", ["var/data/../../etc/shadow", "var/data/device"])
def test_what_nobody_here_has_packed_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "kept.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        entry = tarfile.TarInfo(name)
        entry.type = tarfile.REGTYPE if ".." in name else tarfile.CHRTYPE
        packed.addfile(entry, io.BytesIO())
    with pytest.raises(Failure, match="it is not ours"):
        put(archive, [DATA], tmp_path / "other")
    assert not (tmp_path / "other/var/data").exists()
