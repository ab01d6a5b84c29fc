"""The record of a bundle is read once a run, and asked for again as long as it is not there."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.control import current_plan
from deploys.planning.bundle.record import BundleRecord
from deploys.planning.inputs.refusal import Refusal


class Machine:
    """A host, as far as this goes."""


@pytest.mark.parametrize("there", [BundleRecord(), None])
def test_the_record_of_a_machine_is_read_once(
    monkeypatch: pytest.MonkeyPatch, there: BundleRecord | None
) -> None:
    asked = []

    def of_site(host: Any, site: Any) -> BundleRecord | None:
        asked.append(host)
        if len(asked) == 1:
            raise Refusal("There is no bundle in /mnt/bundle of this machine", "Mount it")
        return there

    monkeypatch.setattr(current_plan.record, "of_site", of_site)
    one, other = Machine(), Machine()
    site: Any = None
    with pytest.raises(Refusal, match="There is no bundle"):
        current_plan._bundle(one, site)  # type: ignore[arg-type]
    for host in (one, one, other, one):
        assert current_plan._bundle(host, site) is there  # type: ignore[arg-type]
    assert asked == [one, one, other]
