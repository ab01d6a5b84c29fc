"""What waves are made of."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.control.clients import rolling
from deploys.planning.inputs.refusal import Refusal


def test_hosts_are_listed_with_the_data_that_they_are_deployed_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def listed(inventory: str, *options: str) -> list[dict[str, Any]]:
        asked.extend((inventory, *options))
        return [{"name": "a", "data": {}}, {"name": "b", "data": {}}]

    monkeypatch.setattr(rolling.services, "listed", listed)
    more = ["--sudo", "--data", "model=x", "--group-data", "folder", "--data=driver=none", "-v"]
    assert rolling.planned("i.py", "1,100%", None, more) == [["a"], ["b"]]
    wanted = ["--data", "model=x", "--group-data", "folder", "--data=driver=none"]
    assert asked == ["i.py", *wanted]


def test_options_that_the_waves_are_made_with_are_refused() -> None:
    with pytest.raises(Refusal, match="are what the waves are made with"):
        rolling.planned("i.py", "1", None, ["--limit", "a"])
