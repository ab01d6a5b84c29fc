"""What is told to people, and when: rules for Prometheus, each with where its threshold is from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from deploys.planning import unit_names
from deploys.planning.engines.registry import ENGINES
from deploys.planning.inputs.monitoring import Monitoring

# What all engines say under one name of ours: modelrack:<name>.
_QUANTITIES = ("running", "waiting", "cache", "read", "written")
_COUNTERS = ("read", "written")
# Errors of programs on a card, not of the card; the same as deploys/remote/facts/kernel_log.py has.
_OF_APPLICATIONS = "13|31|43|45|68|109"

_SINCE_XID = "time() - modelrack_card_xid_timestamp_seconds"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One rule.

    + says: what has happened, for people; `{{ }}` is Prometheus'
    + do: what to do next
    + looks: how many in a row it has to hold at
    + severity: "page" for what keeps people from their answers, or soon will
    + source: where the threshold is from
    """

    name: str
    when: str
    says: str
    do: str
    source: str
    looks: int = 4
    severity: Literal["page", "warn"] = "warn"

    def rule(self, wanted: Monitoring) -> dict[str, Any]:
        """Return it as Prometheus reads it."""
        return {
            "alert": self.name,
            "expr": self.when,
            "for": f"{self.looks * wanted.interval}s",
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.says, "todo": self.do},
        }


def rules(wanted: Monitoring) -> dict[str, Any]:
    """Return all rules as the file that Prometheus reads."""
    return {
        "groups": [
            {"name": "names", "rules": [*_names(wanted)]},
            {"name": "alerts", "rules": [each.rule(wanted) for each in alerts(wanted)]},
        ]
    }


def _names(wanted: Monitoring) -> Iterator[dict[str, str]]:
    """Yield what gives the metrics of every engine one name."""
    for quantity in _QUANTITIES:
        found = [getattr(engine.metrics, quantity) for engine in ENGINES.values() if engine.metrics]
        metrics = [name for name in dict.fromkeys(found) if name]
        if quantity in _COUNTERS:
            metrics = [f"rate({name}[{window(wanted)}])" for name in metrics]
        # Each process of a service and each rank says it; a cache is as full as its fullest part.
        how = "max" if quantity == "cache" else "sum"
        by = "by (instance, service, engine)"
        yield {
            "record": f"modelrack:{quantity}",
            "expr": " or ".join(f"{how} {by} ({metric})" for metric in metrics),
        }


def window(wanted: Monitoring) -> str:
    """Return the time over which rates are taken: four looks, and one that was missed."""
    return f"{max(5 * wanted.interval, 5)}s"


def _name(unit: str) -> str:
    return unit.removesuffix(".service")


def _answers(rate: str, code: str = ".*") -> str:
    of = f'haproxy_backend_http_responses_total{{proxy=~"service-.*",code=~"{code}"}}'
    return f"sum by (instance, proxy) (rate({of}[{rate}]))"


def alerts(wanted: Monitoring) -> tuple[Alert, ...]:
    """Return every alert there is; times follow the interval between two looks."""
    recent, rate = 40 * wanted.interval, window(wanted)
    return (
        Alert(
            name="MachineDown",
            when='up{job="node"} == 0',
            says="{{ $labels.instance }} does not say how it is",
            do="Look whether it runs, and systemctl status"
            f" {_name(unit_names.NODE_EXPORTER)} there",
            severity="page",
            source="four looks in a row, as Prometheus' own examples have it",
        ),
        Alert(
            name="MetricsOld",
            when='time() - node_textfile_mtime_seconds{file=~".*/machine.prom"}'
            f" > {12 * wanted.interval}",
            says="What {{ $labels.instance }} says of its cards and weights is old",
            do=f"systemctl status {_name(unit_names.METRICS)} there; nvidia-smi may hang",
            source="twelve times the interval in which the file is written",
        ),
        Alert(
            name="EngineDown",
            when='up{job="engine"} == 0',
            says="{{ $labels.service }} ({{ $labels.engine }}) on {{ $labels.instance }} does not"
            " answer",
            do="systemctl status and journalctl -u of its unit there",
            severity="page",
            source="four looks in a row: a restart of a process that loads nothing is shorter",
        ),
        Alert(
            name="UnitFailed",
            when='node_systemd_unit_state{state="failed"} == 1',
            says="{{ $labels.name }} on {{ $labels.instance }} has failed, and nothing starts it",
            do="journalctl -u {{ $labels.name }} there; /var/lib/modelrack/failures has its last"
            " words",
            looks=1,
            severity="page",
            source="systemd: a unit that has used up its starts",
        ),
        Alert(
            name="ModelUnavailable",
            when='haproxy_backend_active_servers{proxy=~"service-.*"} == 0',
            says="No copy of {{ $labels.proxy }} answers the gateway of {{ $labels.instance }}",
            do="Look at the engines behind it",
            severity="page",
            source="the gateway's own checks: three in six seconds failed",
        ),
        Alert(
            name="AnswersFail",
            when=f"{_answers(rate, '5xx')} / {_answers(rate)} > 0.05",
            says="{{ $value | humanizePercentage }} of the answers of {{ $labels.proxy }} fail",
            do="journalctl of the engine, and of the gateway with"
            f" --namespace={unit_names.GATEWAY_JOURNAL}",
            severity="page",
            source="one in twenty: more than copies that are restarted come to",
        ),
        Alert(
            name="QueueGrows",
            when='haproxy_backend_current_queue{proxy=~"service-.*"} > 8 or modelrack:waiting > 8',
            says="{{ $value }} requests wait for {{ $labels.proxy }}{{ $labels.service }} on"
            " {{ $labels.instance }}",
            do="Add a copy, or lower at_once of the keys that ask most",
            looks=8,
            source="the requests that one key may have at once, at_once of Gateway",
        ),
        Alert(
            name="CacheFull",
            when="modelrack:cache > 0.95",
            says="The KV cache of {{ $labels.service }} on {{ $labels.instance }} is"
            " {{ $value | humanizePercentage }} full",
            do="Give it less context or fewer requests at once, or another copy",
            looks=8,
            source="vLLM and SGLang preempt requests when it is full",
        ),
        Alert(
            name="FirstTokenSlow",
            when="histogram_quantile(0.95, sum by (instance, model, le)"
            f" (rate(modelrack_first_token_seconds_bucket[{rate}]))) > {wanted.first_token:g}",
            says="Of 100 streams of {{ $labels.model }}, 5 begin after"
            " {{ $value | humanizeDuration }} or later",
            do="Look whether requests wait, how long their prompts are, and whether cards are"
            " throttled",
            source="first_token of Monitoring",
        ),
        Alert(
            name="CardLost",
            when="modelrack_card_up == 0",
            says="{{ $labels.instance }} has lost card {{ $labels.address }}",
            do="Drain the machine, reboot it; if it is not back, look at its seat and its power",
            looks=2,
            severity="page",
            source="the plan: cards that are the machine's",
        ),
        Alert(
            name="CardError",
            when=f'{_SINCE_XID}{{xid!~"{_OF_APPLICATIONS}"}} < {recent}',
            says="Xid {{ $labels.xid }} of card {{ $labels.address }} of {{ $labels.instance }}",
            do="Look its number up in NVIDIA's Xid catalog, and at dmesg there",
            looks=0,
            severity="page",
            source="NVIDIA's Xid catalog, without those that a program causes",
        ),
        Alert(
            name="ProgramError",
            when=f'{_SINCE_XID}{{xid=~"{_OF_APPLICATIONS}"}} < {recent}',
            says="A program on card {{ $labels.address }} of {{ $labels.instance }} has caused Xid"
            " {{ $labels.xid }}",
            do="journalctl of the engine on this card",
            looks=0,
            source="NVIDIA's Xid catalog, and the default list of its k8s-device-plugin",
        ),
        Alert(
            name="CardMemoryFails",
            when='modelrack_card_ecc_errors{kind="uncorrected"} > 0'
            ' or modelrack_card_remapped_rows{kind=~"pending|failure"} > 0',
            says="Memory of card {{ $labels.address }} of {{ $labels.instance }} fails"
            " ({{ $labels.kind }})",
            do="Drain the machine and reboot it; replace a card whose remapping failed",
            looks=0,
            severity="page",
            source="NVIDIA, GPU Memory Error Management: a reset is due, or a return of the card",
        ),
        Alert(
            name="CardThrottled",
            when='modelrack_card_throttled{reason!="sw_power_cap"} == 1',
            says="Card {{ $labels.address }} of {{ $labels.instance }} is slowed down"
            " ({{ $labels.reason }})",
            do="Look at its cooling and its power supply",
            looks=8,
            source="NVML, clock event reasons; the software's power cap is there under full load",
        ),
        Alert(
            name="WeightsDiskFull",
            when="modelrack_models_disk_free_bytes / modelrack_models_disk_size_bytes < 0.05",
            says="The disk with the weights of {{ $labels.instance }} has"
            " {{ $value | humanizePercentage }} left",
            do="Remove models that no service has: modelrack.pyz weights ls there lists them",
            source="ext4 keeps 5 % for root: less is none for anybody else",
        ),
        Alert(
            name="CertificateEnds",
            when="(modelrack_certificate_end_timestamp_seconds - time()"
            " < 0.2 * (modelrack_certificate_end_timestamp_seconds"
            " - modelrack_certificate_begin_timestamp_seconds))"
            " and (modelrack_certificate_end_timestamp_seconds - time() < 21 * 86400)",
            says="The certificate {{ $labels.path }} of {{ $labels.instance }} ends in"
            " {{ $value | humanizeDuration }}",
            do="Deploy: .venv/bin/pyinfra INVENTORY deploys.stages.gateway.start; by ACME, look at"
            f" journalctl -u {_name(unit_names.ACME)}",
            source="it is renewed when a third of its time, or thirty days, are left",
        ),
        Alert(
            name="BackupOld",
            when="time() - modelrack_backup_timestamp_seconds > 2 * 86400",
            says="The last backup of {{ $labels.instance }} is {{ $value | humanizeDuration }} old",
            do="Look at the unit that makes it, and make one",
            source="a backup a day, and one that failed",
        ),
        Alert(
            name="Drift",
            when="modelrack_audit_findings > 0",
            says="{{ $labels.instance }} differs from its plan in {{ $value }} places",
            do="Deploy: what was changed by hand is put right",
            looks=0,
            source="the audit: none is what a deploy leaves",
        ),
    )
