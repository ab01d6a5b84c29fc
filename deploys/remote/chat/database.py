"""Give each version of the chat page a database that it can read, and lose none.

    modelrack.pyz chat database DATA SOFTWARE

A new version changes the layout of the database when it first starts, and an older one cannot read
that. So before a version starts, this compares the database, DATA/webui.db, with the layouts that
the version in SOFTWARE knows. One that it would change is copied to DATA/layouts first. One that it
does not know is put aside there, and the copy that this version can read is taken in its place.
The last three copies are kept.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from ..lib import durable
from ..lib.failure import Failure

_SCRIPTS = "lib/python3*/site-packages/open_webui/migrations/versions/*.py"
_REVISION = re.compile(r"^(down_)?revision\b[^=\n]*=\s*(.+)$", re.MULTILINE)
_COPIES = 3


def prepare(data: Path, software: Path) -> str:
    """Make the database readable for this version; return what was done, "" for nothing."""
    database, folder = data / "webui.db", data / "layouts"
    layout = _layout(database) if database.exists() else None
    if layout is None:
        return ""
    known, latest = _layouts(software)
    if not known:
        raise Failure(f"{software} has no layouts of a database; have it installed anew")
    if layout in latest:
        return ""
    folder.mkdir(mode=0o700, exist_ok=True)
    if layout in known:
        copy = _copy(database, folder / f"{layout}.db")
        return f"the database is copied to {copy} before its layout is changed"
    copies = [path for path in _newest_first(folder) if path.stem in known]
    if not copies:
        raise Failure(
            f"{database} was changed by a newer version (layout {layout}), and there is no copy"
            f" that this one can read in {folder}. Deploy the newer version again"
        )
    returning = folder / ".returning"
    shutil.copyfile(copies[0], returning)
    returning.chmod(0o600)
    _sync(returning)
    aside = _copy(database, folder / f"{layout}.db")
    # Copying it has emptied its journal, so there is none that belongs to another database.
    durable.rename(returning, database)
    return f"the database of {copies[0]} serves again; the newer one is kept as {aside}"


def _layout(database: Path) -> str | None:
    """Return the layout that the database has; None while it has none, half made."""
    with closing(sqlite3.connect(database)) as connection:
        try:
            found = connection.execute("select version_num from alembic_version").fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return None
            raise Failure(f"{database} cannot be read: {error}") from error
        except sqlite3.DatabaseError as error:
            raise Failure(f"{database} cannot be read: {error}. Restore a backup") from error
    return found[0] if found else None


def _layouts(software: Path) -> tuple[set[str], set[str]]:
    """Return the layouts that a version knows, and those of them that no other one follows."""
    known: set[str] = set()
    followed: set[str] = set()
    for path in software.glob(_SCRIPTS):
        for before, value in _REVISION.findall(path.read_text()):
            (followed if before else known).update(re.findall(r"['\"](\w+)['\"]", value))
    return known, known - followed


def _copy(database: Path, copy: Path) -> Path:
    """Copy the database with what its journal holds; remove all but the latest copies."""
    arriving = copy.with_name(".arriving")
    arriving.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(database)) as source,
        closing(sqlite3.connect(arriving)) as target,
    ):
        source.backup(target)
        source.execute("pragma wal_checkpoint(truncate)")
    arriving.chmod(0o600)
    _sync(arriving)
    durable.rename(arriving, copy)
    for old in _newest_first(copy.parent)[_COPIES:]:
        old.unlink()
    return copy


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*.db"), key=lambda path: -path.stat().st_mtime)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
