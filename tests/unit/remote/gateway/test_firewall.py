"""The kernel's table is compared with what the wanted rules become."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from deploys.remote.gateway import firewall

NFT = """\
#!/bin/sh
case $1 in
--stateless) cat "$TABLE" ;;
-f) cat > "$TABLE" ;;
esac
"""
# What runs in it has a table of its own.
UNSHARE = """\
#!/bin/sh
shift
TABLE=$(mktemp) exec "$@"
"""


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the kernel has."""
    for name, text in {"nft": NFT, "unshare": UNSHARE}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("TABLE", str(tmp_path / "table"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / "table"


def found(
    wanted: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[bool, bool]:
    monkeypatch.setattr("sys.stdin", io.StringIO(wanted))
    assert firewall.main() == 0
    said = json.loads(capsys.readouterr().out)
    return said["loaded"], said["as_wanted"]


def test_what_is_loaded_is_compared(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found("one\n", monkeypatch, capsys) == (False, False)
    table.write_text("one\n")
    assert found("one\n", monkeypatch, capsys) == (True, True)
    assert found("two\n", monkeypatch, capsys) == (True, False)
    # It only looked.
    assert table.read_text() == "one\n"


@pytest.mark.parametrize("program", ["nft", "unshare"])
def test_where_nothing_can_be_compared_nothing_is_as_wanted(
    program: str,
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table.write_text("one\n")
    (table.parent / program).write_text("#!/bin/sh\nexit 1\n")
    assert found("one\n", monkeypatch, capsys)[1] is False
    monkeypatch.setenv("PATH", str(table))
    assert found("one\n", monkeypatch, capsys) == (False, False)
