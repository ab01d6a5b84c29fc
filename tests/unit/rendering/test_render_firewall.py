"""The firewall's rules, and the unit that loads them; nft reads them in tests/e2e."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from deploys.planning.gateway.firewall import FirewallPlan, Opening
from deploys.rendering import firewall
from tests.unit.rendering.render_examples import analyze, unit

PLAN = FirewallPlan(
    openings=(
        Opening(name="SSH", ports=(22, 2222), sources=("10.1.0.0/16", "fd00::/64", "10.2.0.7")),
        Opening(name="gateway", ports=(80, 443)),
    )
)


def test_every_opening_is_a_rule_for_each_family_and_the_rest_is_dropped() -> None:
    rules, *_ = firewall.files(PLAN)
    lines = [line.strip() for line in rules.content.splitlines()]
    assert [line for line in lines if "tcp dport" in line] == [
        'ip saddr { 10.1.0.0/16, 10.2.0.7/32 } tcp dport { 22, 2222 } accept comment "SSH"',
        'ip6 saddr { fd00::/64 } tcp dport { 22, 2222 } accept comment "SSH"',
        'tcp dport { 80, 443 } accept comment "gateway"',
    ]
    assert "type filter hook input priority filter - 10; policy drop;" in lines


def test_the_whole_table_and_no_other_is_replaced() -> None:
    rules, service, _ = firewall.files(PLAN)
    named = re.findall(r"(?m)^(?:delete )?table .*", rules.content)
    ours = "table inet modelrack"
    assert named == [ours, f"delete {ours}", f"{ours} {{"]
    assert "flush" not in rules.content
    stops = unit(service.content)["Service"]["ExecStop"]
    assert stops == ["-/usr/sbin/nft delete table inet modelrack"]


def test_it_is_there_before_any_network() -> None:
    _, service, _ = firewall.files(PLAN)
    found = unit(service.content)["Unit"]
    assert found["Before"] == ["network-pre.target"]
    # A kernel mounts the root read-only at first, and nothing is confined in it.
    assert found["After"] == ["nftables.service systemd-remount-fs.service"]


def test_it_is_loaded_again_by_what_flushes_everything() -> None:
    rules, _, drop_in = firewall.files(PLAN)
    assert drop_in.path == "/etc/systemd/system/nftables.service.d/modelrack.conf"
    for when in ("ExecStartPost", "ExecReload", "ExecStopPost"):
        assert unit(drop_in.content)["Service"][when] == [f"-/usr/sbin/nft -f {rules.path}"]


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    _, service, _ = firewall.files(PLAN)
    path = tmp_path / Path(service.path).name
    path.write_text(re.sub(r"/usr/sbin/nft", "/bin/true", service.content))
    verified = analyze("verify", "--man=no", path)
    about_it = [line for line in verified.stderr.splitlines() if path.name in line]
    assert (verified.returncode, about_it) == (0, [])
    scored = analyze("security", "--offline=true", "--threshold=20", path)
    assert scored.returncode == 0, scored.stdout[-2000:] + scored.stderr
