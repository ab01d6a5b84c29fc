"""Every alert is caused by what it is about, is told of, and is over when that is over."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.monitoring.alerts import rules
from deploys.planning.monitoring.queries import queries
from tests.e2e.gateway_site import SERVICE
from tests.lab.hardware import change, xid
from tests.monitoring.asking import asked_by
from tests.monitoring.conftest import INTERVAL, Watch
from tests.monitoring.told import until

CERTIFICATE = "/etc/modelrack/gateway/gateway.pem"
METRICS = "/var/lib/modelrack/metrics"
# Its engine is killed, and systemd does not start it again.
NO_RESTART = f"""\
mkdir -p /run/systemd/system/{SERVICE}.service.d
printf '[Service]\\nRestart=no\\n' > /run/systemd/system/{SERVICE}.service.d/once.conf
systemctl daemon-reload
"""
FILL = """\
mount -t tmpfs -o size=64m,mode=755 modelrack-lab /data/models
head -c 64000000 /dev/zero > /data/models/full
"""


@pytest.fixture(autouse=True)
def fresh(watch: Watch) -> None:
    watch.told.begin()


def test_a_second_run_changes_nothing(watch: Watch) -> None:
    again = watch.site.deploy()
    assert again.code == 0, again.output
    assert again.changed == []


def test_nothing_of_it_can_be_reached_from_another_machine(watch: Watch) -> None:
    for machine in (watch.watching, watch.cards):
        listening = machine.ssh("ss -Htln | awk '{print $4}'").stdout.split()
        outside = {each for each in listening if not each.startswith(("127.0.0.", "[::1]"))}
        ports = {int(each.rpartition(":")[2]) for each in outside}
        assert ports == ({22, 80, 443} if machine is watch.watching else {22, 8443})
    # Who has no certificate of the site is not given metrics of a machine.
    address = f"https://{watch.cards.address}:8443/metrics/node"
    refused = watch.watching.ssh(f"curl -sk -m 20 {address}", check=False)
    assert refused.returncode != 0 and "node_" not in refused.stdout


def test_promtool_has_every_rule_fire_and_end(watch: Watch) -> None:
    tests = (Path(__file__).parent / "rules_test.yaml").read_text()
    machine = watch.watching
    usual = json.dumps(rules(Monitoring()))
    machine.ssh("mkdir -p /tmp/rules; cat > /tmp/rules/rules.json", stdin=usual)
    machine.ssh("cat > /tmp/rules/rules_test.yaml", stdin=tests)
    done = machine.ssh("cd /tmp/rules && promtool test rules rules_test.yaml 2>&1", check=False)
    assert done.returncode == 0, done.stdout


def test_every_place_that_is_planned_answers(watch: Watch) -> None:
    def health() -> list[tuple[str, str, str]]:
        asked = "curl -s http://127.0.0.1:9090/api/v1/targets?state=active"
        found = json.loads(watch.watching.ssh(asked).stdout)["data"]["activeTargets"]
        labels = [(each["labels"], each["health"]) for each in found]
        return [(of["instance"], of.get("service", of["job"]), how) for of, how in labels]

    # Itself, and the other one by way of its gateway.
    here = [("watch", name, "up") for name in ("gateway", "node", "spare", "tiny", "usage")]
    there = [("cards", name, "up") for name in ("gateway", "node", "usage")]
    until(lambda: sorted(health()) == sorted(here + there), f"they are {health()}")
    # Where it may not ask systemd, no unit would ever have failed.
    asked = 'node_scrape_collector_success{collector=~"systemd|textfile"} == 1'
    assert len(machine_series(watch.watching, asked)) == 4


def test_what_is_asked_too_much_is_told(watch: Watch) -> None:
    """Requests wait, and streams begin late."""
    with asked_by(watch, 24):
        watch.told.wait("QueueGrows", "firing")
        watch.told.wait("FirstTokenSlow", "firing")
    for name in ("QueueGrows", "FirstTokenSlow"):
        watch.told.wait(name, "resolved")


def test_every_query_of_the_page_has_series(watch: Watch) -> None:
    machine = watch.watching
    wanted = queries(Monitoring(interval=INTERVAL))
    # Of llama.cpp there is nothing of the cache; what says it is below.
    left = {name: query for name, query in wanted.items() if name != "cache"}
    with asked_by(watch, 2):

        def without() -> list[str]:
            return [name for name, query in left.items() if not machine_series(machine, query)]

        until(lambda: not without(), f"nothing is there for {without()}")


def test_an_engine_that_is_killed_is_told(watch: Watch) -> None:
    machine = watch.watching
    machine.ssh(NO_RESTART)
    machine.ssh(f"systemctl kill --signal=KILL {SERVICE}")
    names = ("EngineDown", "UnitFailed", "ModelUnavailable", "AnswersFail")
    with asked_by(watch, 1):
        for name in names:
            watch.told.wait(name, "firing")
    (down, *_) = watch.told.of("EngineDown", "firing")
    assert down["labels"]["service"] == "tiny"
    assert "tiny (llama.cpp) on watch does not answer" in down["annotations"]["summary"]
    machine.ssh(f"rm -r /run/systemd/system/{SERVICE}.service.d; systemctl daemon-reload")
    machine.ssh(f"systemctl reset-failed {SERVICE}; systemctl start {SERVICE}")
    for name in names:
        watch.told.wait(name, "resolved")


def test_a_full_cache_is_told(watch: Watch) -> None:
    """Said by a stand-in in vLLM's words: no engine of the lab has so little cache."""
    machine = watch.watching
    program = (Path(__file__).parents[1] / "lab/openai_engine.py").read_text()
    machine.ssh("cat > /usr/local/bin/openai_engine.py", stdin=program)
    machine.ssh("systemctl stop llama-server@spare")
    run = "systemd-run --unit=stand-in --quiet python3 /usr/local/bin/openai_engine.py 8081 spare"
    machine.ssh(run)
    told = "curl -sf http://127.0.0.1:8081/ctl?cache={}"
    until(lambda: machine.ssh(told.format(0.99), check=False).returncode == 0, "no stand-in")
    (alert, *_) = watch.told.wait("CacheFull", "firing")
    assert alert["annotations"]["summary"].startswith("The KV cache of spare on watch is 99% full")
    machine.ssh(told.format(0.2))
    watch.told.wait("CacheFull", "resolved")
    machine.ssh("systemctl stop stand-in; systemctl start llama-server@spare")


def test_what_happens_to_cards_is_told(watch: Watch) -> None:
    """One falls off the bus, has wrong memory, gets hot; a program on it does what is wrong."""
    machine, there = watch.cards, watch.hardware
    first, second = (board.address for board in there.boards)
    ill = there.fall_off(first).with_board(
        second, uncorrected=2, throttled=("hw_thermal_slowdown",)
    )
    log = (*ill.kernel_log, xid(second, 13, "Graphics Exception"))
    change(machine, replace(ill, kernel_log=log))
    names = ("CardLost", "CardError", "ProgramError", "CardMemoryFails", "CardThrottled")
    said = {name: watch.told.wait(name, "firing")[0]["labels"] for name in names}
    assert said["CardLost"]["address"] == first and said["CardLost"]["instance"] == "cards"
    assert (said["CardError"]["address"], said["CardError"]["xid"]) == (first, "79")
    assert (said["ProgramError"]["address"], said["ProgramError"]["xid"]) == (second, "13")
    assert said["CardMemoryFails"]["kind"] == "uncorrected"
    assert said["CardThrottled"]["reason"] == "hw_thermal_slowdown"
    # What the kernel has said stays in its log; that it was said is over after a while.
    change(machine, replace(there, kernel_log=log))
    for name in names:
        watch.told.wait(name, "resolved", seconds=400)


def test_a_full_disk_a_backup_that_is_late_and_a_change_by_hand_are_told(watch: Watch) -> None:
    machine = watch.cards
    machine.ssh(FILL)
    old, new = int(time.time()) - 3 * 86400, int(time.time())
    # As what makes backups and what compares a machine with its plan leave them there.
    _leave(watch, "backup", f"modelrack_backup_timestamp_seconds {old}")
    _leave(watch, "audit", "modelrack_audit_findings 2")
    names = ("WeightsDiskFull", "BackupOld", "Drift")
    for name in names:
        assert watch.told.wait(name, "firing")[0]["labels"]["instance"] == "cards"
    machine.ssh("umount /data/models")
    _leave(watch, "backup", f"modelrack_backup_timestamp_seconds {new}")
    _leave(watch, "audit", "modelrack_audit_findings 0")
    for name in names:
        watch.told.wait(name, "resolved")


def test_a_certificate_that_runs_out_is_told_and_a_run_renews_it(watch: Watch) -> None:
    machine = watch.watching
    machine.ssh(f"cat > {CERTIFICATE}", stdin=_ending(timedelta(minutes=1)))
    (alert, *_) = watch.told.wait("CertificateEnds", "firing")
    assert alert["labels"]["path"] == CERTIFICATE
    run = watch.site.start()
    assert run.code == 0, run.output
    watch.told.wait("CertificateEnds", "resolved")


def test_a_machine_that_is_silent_is_told(watch: Watch) -> None:
    """First what writes of it hangs, and then all of it is away."""
    machine = watch.cards
    machine.ssh("systemctl kill --signal=STOP modelrack-metrics")
    watch.told.wait("MetricsOld", "firing")
    machine.ssh("systemctl kill --signal=CONT modelrack-metrics")
    watch.told.wait("MetricsOld", "resolved")
    machine.cut_link()
    watch.told.wait("MachineDown", "firing")
    machine.restore_link()
    watch.told.wait("MachineDown", "resolved")


def test_all_forms_were_taken_and_all_alerts_were_caused(watch: Watch) -> None:
    assert watch.told.refused == []
    assert {*watch.told.taken} == {"alertmanager", "dingtalk", "feishu", "wecom"}
    for rule in rules(Monitoring())["groups"][1]["rules"]:
        for status in ("firing", "resolved"):
            assert watch.told.of(rule["alert"], status, ever=True), (
                f"{rule['alert']} was never {status}"
            )


def machine_series(machine: object, query: str) -> list[object]:
    """What Prometheus answers to a query."""
    asked = "curl -sG http://127.0.0.1:9090/api/v1/query --data-urlencode query@-"
    answer = json.loads(machine.ssh(asked, stdin=query).stdout)  # type: ignore[attr-defined]
    assert answer["status"] == "success", (query, answer)
    found: list[object] = answer["data"]["result"]
    return found


def _leave(watch: Watch, name: str, line: str) -> None:
    path = f"{METRICS}/{name}.prom"
    watch.cards.ssh(
        f"cat > {path}.new && chmod 644 {path}.new && mv {path}.new {path}", stdin=line + "\n"
    )


def _ending(left: timedelta) -> str:
    """A certificate of a hundred days with its key, of which little is left."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ending")])
    now = datetime.now(timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + left)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return (made.public_bytes(serialization.Encoding.PEM) + private).decode()
