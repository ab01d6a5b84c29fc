"""A report's page: both languages, nothing of elsewhere, and what a certificate has to say."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from deploys.control.acceptance.page import page
from deploys.control.acceptance.words import words
from deploys.planning.acceptance.check import PHASES, AcceptanceCheck, at_least, failed, not_run

CARD = {
    **{"index": 0, "address": "0000:41:00.0", "name": "NVIDIA A100 80GB PCIe", "uuid": "GPU-0"},
    **{"serial": "1320000000041", "vbios": "92.00.45.00.03", "driver": "580.178.04"},
    **{"lanes": 16, "lanes_max": 16},
}
RUNS = [
    {
        "parallel": n,
        "tokens_per_second": 80.0 * n**0.7,
        "per_user": 80 / n**0.3,
        "first_token_ms": n,
    }
    for n in (1, 4, 16, 64)
]
DOCUMENT: dict[str, Any] = {
    **{
        "name": "unit-01",
        "accepted": True,
        "certificate": True,
        "quick": False,
        "tested": list(PHASES),
    },
    **{"begun": "2026-01-01T10:00:00+00:00", "ended": "2026-01-01T11:00:00+00:00"},
    "machine": {
        **{"serial": "MR-4711", "unit": "", "product": "R760", "vendor": "Maker", "bios": "2.1"},
        **{"kernel": "6.1.0", "macs": ["00:00:5e:00:53:01"], "hostname": "unit-01"},
        **{"os": "debian 12", "cpu": "A <processor>", "cores": 64, "memory": 512 << 30},
        "disks": [{"model": "NVMe", "serial": "S5", "size": 1}],
    },
    "cards": [CARD, {**CARD, "index": 1, "address": "0000:c1:00.0"}],
    "software": [{"name": "vllm", "version": "0.32.0", "digest": "0123456789ab"}],
    "services": [{"name": "r1", "model": "deepseek-r1", "weights": {"a.safetensors": "ab" * 32}}],
    "load": {"r1": RUNS},
    "samples": {
        "at": [2, 4, 6],
        "cards": {
            "0000:41:00.0": {"clock": [1410, 1400, 1395], "temperature": [50, 60, 66]},
            "0000:c1:00.0": {"clock": [1410, 1410, 1410], "temperature": [48, 58, None]},
        },
    },
}
CHECKS = [
    AcceptanceCheck(phase="cards", name="count", measured=2, wanted=2),
    at_least(
        "host", "disk read", 2.5, 1.0, "GB/s", "slow disk", "/data", source="a test", path="/"
    ),
    not_run("fabric", "all-reduce", "one card", required=False),
]


class Outside(HTMLParser):
    """What a browser would fetch of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object", "embed", "image", "use"):
            self.found.append(tag)
        self.found += [f"{name}={value}" for name, value in attributes if name == "src"]


def test_it_is_one_file_that_asks_nobody_for_anything() -> None:
    made = page(DOCUMENT, CHECKS, "en")
    outside = Outside()
    outside.feed(made)
    assert outside.found == []
    # Names of XML alone look like addresses.
    fetched = re.findall(r"url\([^#)]+\)|@import|xlink:href=\"[^#]", made)
    assert fetched == []
    assert made.count("<svg") == 2 * (3 + 2)


def test_it_has_what_a_certificate_needs() -> None:
    made = page(DOCUMENT, CHECKS, "en")
    for told in ("Certificate of acceptance", "验收证书", "ACCEPTED", "验收通过", "MR-4711"):
        assert told in made
    for told in ("1320000000041", "ab" * 32, "0123456789ab", "580.178.04", "S5", "a test"):
        assert told in made
    assert "A &lt;processor&gt;" in made and "A <processor>" not in made
    assert made.index("Certificate of acceptance") < made.index("验收证书")
    chinese = page(DOCUMENT, CHECKS, "zh")
    assert chinese.index("验收证书") < chinese.index("Certificate of acceptance")


@pytest.mark.parametrize(
    ("changes", "title"),
    [({"quick": True}, "Quick look, no certificate"), ({"tested": ["host"]}, "Part of an")],
)
def test_less_than_all_is_no_certificate(changes: dict[str, Any], title: str) -> None:
    made = page({**DOCUMENT, **changes}, CHECKS, "en")
    assert "ALL PASSED" in made and title in made and "Certificate of acceptance" not in made
    assert words("en")["signed"] not in made


def test_a_failure_is_told_in_both_languages() -> None:
    wrong = failed("cards", "count", "card missing", measured=1, wanted=2, missing="0000:c1:00.0")
    made = page({**DOCUMENT, "accepted": False, "certificate": False}, [*CHECKS, wrong], "en")
    assert "NOT ACCEPTED" in made and "验收未通过" in made
    assert "Certificate of acceptance" not in made and "验收证书" not in made
    assert "1 of 2 cards answer; missing: 0000:c1:00.0" in made
    assert "2 张卡中只有 1 张应答" in made
