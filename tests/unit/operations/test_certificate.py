"""Which certificates of a gateway are left as they are, and which the site's CA signs anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploys.control import authority as authorities
from deploys.control.authority import authority
from deploys.operations.gateway import certificate
from deploys.operations.gateway.certificate import Signed
from tests.unit.control.test_authority import request

WANTED = Signed(path="gateway.pem", name="ai.lab", names=("ai.lab",))
STAND_IN = replace(WANTED, until_another=True)


def test_one_by_another_authority_stays_where_the_site_only_stands_in(tmp_path: Path) -> None:
    site, other = authority(tmp_path / "site"), authority(tmp_path / "other")
    theirs = other.sign(request(), "ai.lab", ("ai.lab",))
    assert not certificate._is_good(site, theirs, WANTED)
    assert certificate._is_good(site, theirs, STAND_IN)
    assert not certificate._is_good(site, other.sign(request(), "x", ("b.lab",)), STAND_IN)


def test_what_the_site_has_signed_is_signed_anew_in_time_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = authority(tmp_path / "site")
    assert certificate._is_good(site, site.sign(request(), "ai.lab", ("ai.lab",)), STAND_IN)
    monkeypatch.setattr(authorities, "_DAYS", 30)
    assert not certificate._is_good(site, site.sign(request(), "ai.lab", ("ai.lab",)), STAND_IN)
