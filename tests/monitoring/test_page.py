"""The page of what is watched, in Chromium: who sees it, what it shows, and whom it asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.browser.desk import Desk
from tests.e2e.rack import PROJECT
from tests.monitoring.asking import asked_by
from tests.monitoring.conftest import Watch

PICTURES = PROJECT / "build" / "monitoring"
VISIT = Path(__file__).with_name("visit.py")


@pytest.fixture(scope="module")
def desk(watch: Watch) -> Desk:
    return Desk.beside(watch.lab, watch.watching, "ai.lab", watch.site.ca)


def see(watch: Watch, desk: Desk, language: str, *, dark: bool) -> dict[str, Any]:
    """What a viewer sees, after two who are none."""
    keys = ["mr-nobody", watch.site.keys["bob"], watch.site.keys["alice"]]
    with asked_by(watch, 1):
        return desk.visit(
            PICTURES / language,
            VISIT,
            url=f"https://{watch.watching.address}/monitoring",
            keys=keys,
            language=language,
            dark=dark,
        )


@pytest.mark.parametrize(
    ("language", "words", "refused"),
    [
        ("en-US", ("MODELS", "MACHINES", "TEAMS", "first token"), "not valid"),
        ("zh-CN", ("模型", "机器", "团队", "首个 token"), "密钥无效"),
    ],
)
def test_a_viewer_sees_models_machines_and_teams(
    watch: Watch, desk: Desk, language: str, words: tuple[str, ...], refused: str
) -> None:
    seen = see(watch, desk, language, dark=language == "en-US")
    assert seen["errors"] == []
    assert refused in seen["refused"][0] and "viewers" in seen["refused"][1]
    for word in (*words, "tiny", "spare", "watch", "cards", "lab", "alice", "41:00", "c1:00"):
        assert word in seen["text"], (word, seen["text"])
    assert {urlsplit(address).netloc for address in seen["addresses"]} - {""} == {
        watch.watching.address
    }
    assert all(picture.stat().st_size > 5000 for picture in (PICTURES / language).glob("*.png"))
    assert len([*(PICTURES / language).glob("*.png")]) == 2


def test_nothing_else_of_prometheus_can_be_reached(watch: Watch) -> None:
    with watch.site.http("alice") as http:
        for path in ("/monitoring/api/v1/targets", "/monitoring/graph", "/monitoring/api/v1/write"):
            assert http.get(path).status_code == 404, path
        assert http.post("/monitoring/api/v1/query", content="query=up").status_code == 404
        assert http.get("/monitoring/api/v1/query?query=up").status_code == 200
    with watch.site.http("bob") as http:
        assert http.get("/monitoring/api/v1/query?query=up").status_code == 403
