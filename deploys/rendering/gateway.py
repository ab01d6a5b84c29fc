"""The gateway's plan as HAProxy's configuration and its maps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone

from deploys.planning import unit_names
from deploys.planning.addresses import in_url
from deploys.planning.engines.software import PROGRAMS
from deploys.planning.gateway import chat, paths
from deploys.planning.gateway import plan as gateway
from deploys.planning.gateway.key import Key
from deploys.planning.gateway.plan import Backend, BackendServer, GatewayPlan
from deploys.planning.inputs.gateway import Acme
from deploys.rendering.monitoring import door
from deploys.rendering.templates import Rendered, digest_of, file, text

# All that is known: a method and a path.
PATHS = (
    f"GET {paths.LISTS}",
    *(f"POST {path}" for asked in paths.ASKED.values() for path in asked),
)
# What a client is told who asks a model for what it does not do.
_INSTEAD = {
    "generate": "this model writes answers: ask it at",
    "embed": "this model makes vectors of texts: ask it at",
    "rerank": "this model says how well texts fit a question: ask it at",
}
RUN = f"/run/{gateway.USER}"
MASTER = f"{RUN}/master.sock"
CONFIGURATION = f"{gateway.FOLDER}/haproxy.cfg"
UNIT_FILES = (
    unit_names.file(unit_names.GATEWAY),
    f"/etc/systemd/journald@{unit_names.GATEWAY_JOURNAL}.conf",
)

# What asks for its certificate by ACME.
ACME_FOLDER = "/etc/modelrack/acme"
_ACME_UNIT, _ACME_TIMER = map(unit_names.file, (unit_names.ACME, unit_names.ACME_TIMER))
# Which certificate has come from where.
_ACME_RECORD = "/var/lib/modelrack/acme.json"
ACME_FILES = (
    *(_ACME_UNIT, _ACME_TIMER, unit_names.file(unit_names.GATEWAY_WANTS)),
    *(ACME_FOLDER, _ACME_RECORD, gateway.ACME_KEY, gateway.ACME_MAP),
)

# Together they are one variable, which usage.lua sets: what cannot be read as a request has no
# variables, and its line is JSON without them.
_NUMBERS = {"tokens_in": "0", "tokens_out": "0", "estimated": "false"}
# A line of the usage log, as JSON; what a client may write itself is escaped.
_BEFORE = {
    "user": '"%[var(txn.user),json(utf8s)]"',
    "team": '"%[var(txn.team),json(utf8s)]"',
    "model": '"%[var(txn.model),json(utf8s)]"',
    "path": '"%[var(txn.path),bytes(0,128),json(utf8s)]"',
    "status": "%ST",
    "to": '"%b/%s"',
    "end": '"%ts"',
    "queue_ms": "%Tw",
    "first_ms": "%Tr",
    "ms": "%Ta",
    "bytes_in": "%U",
    "bytes_out": "%B",
}
# HAProxy writes +1 of a retry that another copy answered, which is no number in JSON.
_BEHIND = {"retries": '"%rc"', "from": '"%ci"'}


@dataclass(frozen=True, kw_only=True)
class GatewayFiles:
    """What the process reads.

    + configuration: a process that was started with another one has to be reloaded, as has one with
      other `fixed` files
    + maps: what running processes are told when it changes
    + digest: of configuration and fixed files, as a running process says it
    """

    configuration: Rendered
    fixed: tuple[Rendered, ...]
    maps: tuple[Rendered, ...]
    digest: str


def files(plan: GatewayPlan, site_ca: str | None) -> GatewayFiles:
    """Return the configuration and what it refers to.

    + site_ca: certificate of what signs this site's, as PEM; None where nothing is signed by it
    """
    fixed = [
        _file("usage.lua", text("gateway/usage.lua", folder=gateway.FOLDER, run=RUN)),
        _file("models.list", _lines(_models(plan))),
        *door.files(plan),
    ]
    if site_ca:
        fixed.append(_file("site-ca.pem", site_ca))
    decides = [*((each.path, each.content) for each in fixed), _configuration(plan, "")]
    digest = digest_of(decides)
    return GatewayFiles(
        configuration=Rendered(
            path=CONFIGURATION, content=_configuration(plan, digest), mode="640"
        ),
        fixed=tuple(fixed),
        maps=tuple(_file(f"{name}.map", _lines(lines)) for name, lines in _maps(plan).items()),
        digest=digest,
    )


def unit() -> tuple[Rendered, ...]:
    """Return the unit and the settings of its journal; they are the same on every machine."""
    path, journald = UNIT_FILES
    return (
        file(
            f"gateway/{unit_names.GATEWAY}",
            path,
            folder=gateway.FOLDER,
            user=gateway.USER,
            run=RUN,
            master=MASTER,
            journal=unit_names.GATEWAY_JOURNAL,
            programs=PROGRAMS,
            ports=(
                *(gateway.REDIRECT, gateway.HTTPS, gateway.MACHINES, gateway.METRICS),
                gateway.CHAT_PORT,
            ),
        ),
        file("gateway/journald.conf", journald),
    )


def acme_settings(acme: Acme, host: str) -> dict[str, str | None]:
    """Return what asks for the certificate (remote/gateway/acme.py)."""
    return {
        "directory": acme.directory,
        "email": acme.email,
        "host": host,
        "certificate": gateway.CERTIFICATE,
        "group": gateway.USER,
        "unit": unit_names.GATEWAY,
        "request": f"{ACME_FOLDER}/request.csr",
        "record": _ACME_RECORD,
    }


def acme(wanted: Acme, host: str, authorities: str | None) -> tuple[Rendered, ...]:
    """Return the unit that asks for the certificate, its timer, and what it reads.

    + authorities: those that systems do not know, as PEM
    """
    settings, ca = f"{ACME_FOLDER}/settings.json", f"{ACME_FOLDER}/ca.pem"
    read = json.dumps(acme_settings(wanted, host), indent=2)
    files = [Rendered(path=settings, content=f"{read}\n", mode="644")]
    if authorities:
        files.append(Rendered(path=ca, content=authorities, mode="644"))
    return (
        *files,
        file(
            f"gateway/{unit_names.ACME}",
            _ACME_UNIT,
            programs=PROGRAMS,
            settings=settings,
            gateway=unit_names.GATEWAY,
            key=gateway.ACME_KEY,
            runtime=unit_names.ACME.removesuffix(".service"),
            ca=ca if authorities else None,
        ),
        file(f"gateway/{unit_names.ACME_TIMER}", _ACME_TIMER, gateway=unit_names.GATEWAY),
    )


def _configuration(plan: GatewayPlan, digest: str) -> str:
    return text(
        "gateway/haproxy.cfg",
        digest=digest,
        folder=gateway.FOLDER,
        run=RUN,
        log=_log(),
        numbers=_fields(_NUMBERS),
        paths=PATHS,
        asked=paths.ASKED,
        instead=_INSTEAD,
        host=plan.host,
        ipv6=plan.ipv6,
        acme_map=gateway.ACME_MAP if plan.acme else None,
        chat=plan.chat,
        chat_page=f"127.0.0.1:{chat.PORT}",
        chat_address=gateway.CHAT_ADDRESS,
        chat_port=gateway.CHAT_PORT,
        rate=plan.rate,
        at_once=plan.at_once,
        backends=plan.backends,
        **door.values(plan),
        certificate=gateway.CERTIFICATE,
        at=_at,
        server_name=server_name,
    )


def _log() -> str:
    numbers = '%[str(" "),concat(,txn.numbers)]'
    return f"{{{_fields(_BEFORE)}{numbers}{_fields(_BEHIND).rstrip(',')}}}"


def _fields(values: Mapping[str, str]) -> str:
    return "".join(f'"{name}":{value},' for name, value in values.items())


def _at(server: BackendServer) -> str:
    return f"{in_url(server.address)}:{server.port}"


def server_name(machine: str) -> str:
    """Return a machine's name in the letters that HAProxy takes."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", machine)


def _models(plan: GatewayPlan) -> list[tuple[str, str]]:
    """Return the entry of each model, and of each adapter as a model of its own, by their names."""
    named = [(name, each) for each in plan.backends for name in each.names]
    return [(name, _model(name, each)) for name, each in sorted(named, key=lambda pair: pair[0])]


def _model(name: str, backend: Backend) -> str:
    entry: dict[str, object] = {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "modelrack",
        "root": backend.model,
        "task": backend.task,
    }
    if name != backend.service:
        entry["parent"] = backend.service
    if backend.context:
        entry["max_model_len"] = backend.context
    return json.dumps(entry)


def _maps(plan: GatewayPlan) -> dict[str, list[tuple[str, object]]]:
    keys = plan.keys
    users = {key.user: key for key in keys}
    found: dict[str, list[tuple[str, object]]] = {}
    if plan.host:
        found = {
            "keys": [(key.sha256, key.user) for key in keys],
            "until": [(key.sha256, _end(key)) for key in keys if key.until],
            "teams": [(user, key.team) for user, key in users.items()],
            "rates": _limits(users, "rate"),
            "at-once": _limits(users, "at_once"),
            "tokens": _limits(users, "tokens_a_day"),
            "restricted": [(u, " ".join(key.models)) for u, key in users.items() if key.models],
            "allowed": [
                (f"{u}/{model}", 1) for u, key in users.items() for model in key.models or ()
            ],
            "models": [
                (name, f"service-{each.service}") for each in plan.backends for name in each.names
            ],
            "tasks": [(name, each.task) for each in plan.backends for name in each.names],
        }
        found |= door.maps(plan)
    if plan.chat:
        # On the page only those are chosen from that write; it asks another for vectors by itself.
        writing = [name for each in plan.backends if each.task == "generate" for name in each.names]
        found["restricted"].append((gateway.CHAT_USER, " ".join(writing)))
        asked = [f"{gateway.CHAT_USER}/{name}" for each in plan.backends for name in each.names]
        found["allowed"] += [(each, 1) for each in asked]
        found["teams"].append((gateway.CHAT_USER, gateway.CHAT_TEAM))
        found["rates"].append((gateway.CHAT_USER, plan.chat.rate))
        found["at-once"].append((gateway.CHAT_USER, plan.chat.at_once))
    if any(peer.asks for peer in plan.peers):
        local = [each for each in plan.backends if each.local]
        found["local"] = [(name, f"local-{each.service}") for each in local for name in each.names]
    return found


def _limits(users: Mapping[str, Key], name: str) -> list[tuple[str, object]]:
    return [(u, value) for u, key in users.items() if (value := getattr(key, name)) is not None]


def _end(key: Key) -> int:
    """Return the first second at which a key is no longer good."""
    assert key.until
    after = datetime.combine(key.until, time(), timezone.utc) + timedelta(days=1)
    return int(after.timestamp())


def _lines(pairs: Iterable[tuple[str, object]]) -> str:
    return "".join(f"{key} {value}\n" for key, value in pairs)


def _file(name: str, content: str) -> Rendered:
    return Rendered(path=f"{gateway.FOLDER}/{name}", content=content, mode="640")
