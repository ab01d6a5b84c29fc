"""The secret of groups: made once, for the operator alone, another one for each group."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.control.groups import derived
from deploys.planning.inputs.refusal import Refusal

NODES = ["10.9.0.11", "10.9.0.12"]


def test_it_is_made_once_and_for_the_operator_alone(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    first = derived(folder, "large", NODES)
    assert first == derived(folder, "large", NODES)
    assert len(first) == 64
    file = folder / "groups.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    # What a machine is given tells nothing of what others have.
    assert first not in file.read_text()


def test_each_group_and_each_site_has_another_one(tmp_path: Path) -> None:
    found = {
        derived(tmp_path / site, service, nodes)
        for site in ("here", "there")
        for service in ("large", "small")
        for nodes in (NODES, NODES[::-1], [*NODES, "10.9.0.13"])
    }
    assert len(found) == 12


@pytest.mark.parametrize("content", ["", "ab", "no number" * 8, "é"])
def test_what_is_no_secret_is_refused(tmp_path: Path, content: str) -> None:
    derived(tmp_path, "large", NODES)
    (tmp_path / "groups.key").write_text(content)
    with pytest.raises(Refusal, match="Put it there again from its copy"):
        derived(tmp_path, "large", NODES)
