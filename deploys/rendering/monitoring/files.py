"""What monitoring runs on a machine: units, and what they are set up with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from deploys.planning import unit_names
from deploys.planning.engines.registry import ENGINES
from deploys.planning.engines.software import PROGRAMS
from deploys.planning.gateway.plan import METRICS as GATEWAY_PORT
from deploys.planning.inputs.monitoring import Mail
from deploys.planning.monitoring import plan as planned
from deploys.planning.monitoring.alerts import rules
from deploys.planning.monitoring.plan import FOLDER, SECRETS, MonitoringPlan
from deploys.rendering.templates import Rendered, digest_of, file

_CONFIGURATION, _RULES = f"{FOLDER}/prometheus.yml", f"{FOLDER}/rules.json"
# What the writer is told, and where it writes.
_SETTINGS, _WRITTEN = f"{FOLDER}/metrics.json", f"{planned.METRICS}/machine.prom"
_ALERTMANAGER, _WEBHOOKS = f"{SECRETS}/alertmanager.yml", f"{SECRETS}/webhooks.json"
_COLLECTORS = (
    *("cpu", "diskstats", "filesystem", "infiniband", "loadavg", "meminfo", "netdev", "pressure"),
    *("stat", "systemd", "textfile", "time", "uname", "vmstat"),
)
# Of HAProxy's metrics, what rules, the page and boards ask for.
_KEPT = "haproxy_({})".format(
    "|".join(
        (
            *("process_uptime_seconds", "frontend_http_responses_total"),
            *("frontend_current_sessions", "backend_active_servers", "backend_current_queue"),
            *("backend_current_sessions", "backend_http_responses_total", "server_status"),
        )
    )
)
_WANTS = unit_names.file("multi-user.target.wants")


def _paths(*units: str) -> tuple[str, ...]:
    """Return the files of units, and what enables them."""
    return tuple(path for unit in units for path in (unit_names.file(unit), f"{_WANTS}/{unit}"))


NOTIFYING = (*_paths(unit_names.NOTIFIER), _WEBHOOKS)
WATCHING = (
    *_paths(unit_names.PROMETHEUS, unit_names.ALERTMANAGER),
    *NOTIFYING,
    *(_CONFIGURATION, _RULES, _ALERTMANAGER),
)
ALL = (*_paths(unit_names.NODE_EXPORTER, unit_names.METRICS), *WATCHING, FOLDER, planned.METRICS)


def node_exporter() -> tuple[tuple[Rendered, ...], str]:
    """Return the unit of node exporter, and its digest."""
    # All units of services, by the beginning of their names, and those of ours.
    units = [unit_names.PREFIX + ".*"]
    units += [engine.unit_prefix.removesuffix(".service") + ".*" for engine in ENGINES.values()]
    return _with_digest(
        unit_names.NODE_EXPORTER,
        planned.NODE,
        256 << 20,
        collectors=_COLLECTORS,
        metrics=planned.METRICS,
        units=units,
        # They come and go.
        passing=[unit_names.FAILED.replace("@", "@.*"), unit_names.JOBS.replace("*", ".*")],
    )


def writer(plan: MonitoringPlan) -> tuple[tuple[Rendered, ...], str]:
    """Return the unit of what writes metrics of ours, its settings, and their digest."""
    settings = {
        "file": _WRITTEN,
        "interval": plan.wanted.interval,
        "vendor": plan.vendor,
        "cards": [*plan.cards],
        "models": plan.models,
        "certificates": [*plan.certificates],
    }
    return _with_digest(
        unit_names.METRICS,
        None,
        256 << 20,
        others=[_json(_SETTINGS, settings)],
        metrics=planned.METRICS,
        settings=_SETTINGS,
    )


def prometheus(plan: MonitoringPlan) -> tuple[tuple[Rendered, ...], str]:
    """Return the unit of Prometheus, its configuration and rules, and their digest."""
    interval = plan.wanted.interval
    configuration = file(
        "monitoring/prometheus.yml",
        _CONFIGURATION,
        interval=interval,
        timeout=min(interval, 10),
        rules=_RULES,
        alertmanager=planned.ALERTMANAGER,
        jobs=("node", "gateway", "usage", "engine"),
        kept=_KEPT,
        name=plan.name,
        targets=plan.targets,
        machines=plan.machines,
        gateway=GATEWAY_PORT,
    )
    return _with_digest(
        unit_names.PROMETHEUS,
        planned.PROMETHEUS,
        1 << 30,
        others=[configuration, _json(_RULES, rules(plan.wanted))],
        state=unit_names.PROMETHEUS.removesuffix(".service"),
        configuration=_CONFIGURATION,
        days=plan.wanted.days,
        size=plan.size,
    )


def alertmanager(plan: MonitoringPlan, password: str) -> tuple[tuple[Rendered, ...], str]:
    """Return the unit of Alertmanager, whom it tells, and the digest of what is no secret.

    + password: of the user of the mail server
    """
    mail = plan.wanted.mail
    told = file(
        "monitoring/alertmanager.yml",
        _ALERTMANAGER,
        mode="600",
        interval=plan.wanted.interval,
        webhooks=plan.wanted.webhooks,
        notifier=planned.NOTIFIER,
        mail=mail,
        password=password,
        **(_MAIL if mail else {}),
    )
    files, digest = _with_digest(
        unit_names.ALERTMANAGER,
        planned.ALERTMANAGER,
        256 << 20,
        state=unit_names.ALERTMANAGER.removesuffix(".service"),
        secret=_ALERTMANAGER,
        outside=isinstance(mail, Mail),
    )
    return (*files, told), digest


def notifier(webhooks: Sequence[dict[str, Any]]) -> tuple[tuple[Rendered, ...], str]:
    """Return the unit of what posts to webhooks, these, and the digest of what is no secret."""
    secret = _json(_WEBHOOKS, {"port": planned.NOTIFIER, "webhooks": [*webhooks]}, mode="600")
    files, digest = _with_digest(unit_names.NOTIFIER, planned.NOTIFIER, 128 << 20, secret=_WEBHOOKS)
    return (*files, secret), digest


# As Alertmanager fills them in.
_MAIL = {
    "subject": '[{{ .Status }}] {{ .GroupLabels.SortedPairs.Values | join " " }}',
    "text": "{{ range .Alerts }}{{ .Status }}: {{ .Annotations.summary }}\n"
    "{{ .Annotations.todo }}\n\n{{ end }}",
}


def _with_digest(
    unit: str, port: int | None, memory: int, others: Sequence[Rendered] = (), **values: Any
) -> tuple[tuple[Rendered, ...], str]:
    def files(digest: str) -> tuple[Rendered, ...]:
        rendered = file(
            f"monitoring/{unit}",
            unit_names.file(unit),
            port=port,
            memory=memory,
            reader=unit_names.NODE_EXPORTER,
            programs=PROGRAMS,
            digest=digest,
            **values,
        )
        return (rendered, *others)

    digest = digest_of([each.content for each in files("")])
    return files(digest), digest


def _json(path: str, content: object, mode: str = "644") -> Rendered:
    return Rendered(path=path, content=json.dumps(content, indent=1) + "\n", mode=mode)
