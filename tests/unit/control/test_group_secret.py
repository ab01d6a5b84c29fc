"""The secret of groups: made once, for the operator alone, another one for each group."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.control import group_secret
from deploys.planning.inputs.refusal import Refusal


def test_it_is_made_once_and_for_the_operator_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = group_secret.of(folder, "large")
    assert first == group_secret.of(folder, "large")
    assert len(first) == 64 and first != group_secret.of(folder, "small")
    (file,) = folder.glob("group-*")
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    # What a machine is given tells nothing of what others have.
    assert first not in file.read_text()
    assert first != group_secret.of(tmp_path / "of another site", "large")


@pytest.mark.parametrize("content", ["", "ab", "no number" * 8])
def test_what_is_no_secret_is_refused(tmp_path: Path, content: str) -> None:
    group_secret.of(tmp_path, "large")
    (tmp_path / "group-secret").write_text(content)
    with pytest.raises(Refusal, match="remove it: the next run makes another one"):
        group_secret.of(tmp_path, "large")
