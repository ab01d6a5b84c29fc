"""The phases of an acceptance: each asks the machine, and holds what it says against the plan."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyinfra import logger
from pyinfra.api import Host

from deploys.connection import transport
from deploys.control.acceptance import machine
from deploys.control.acceptance.machine import Unmeasured
from deploys.control.acceptance.session import AcceptanceSession
from deploys.control.acceptance.session import of as session_of
from deploys.planning.acceptance import api, cards, engine, fabric, performance, soak
from deploys.planning.acceptance import host as of_host
from deploys.planning.acceptance.check import AcceptanceCheck, Phase, not_run
from deploys.planning.acceptance.engine import AskedService, share_of
from deploys.planning.gateway.plan import HTTPS
from deploys.planning.plan import ServicePlan
from deploys.planning.weights.weights import model_of

# Seconds that a port, and the gateway, may take to answer.
_ANSWERS = 5
# Seconds of one stretch of the load: what a lost connection costs of it at most.
_STRETCH = 60
_PROJECT = Path(__file__).resolve().parents[3]
PhaseChecks = Iterator[AcceptanceCheck]


def run(host: Host, arguments: Any, phase: Phase) -> None:
    """Carry a phase out; what cannot be asked is a check that did not run."""
    this = session_of(host)
    begun, since = len(this.checks), time.monotonic()
    try:
        this.add(host, _PHASES[phase](host, arguments, this))
    except Unmeasured as error:
        this.add(host, [not_run(phase, "run", "broke off", required=True, text=str(error))])
    seconds = round(time.monotonic() - since, 1)
    this.measured.setdefault("seconds", {})[phase] = seconds
    found = this.checks[begun:]
    passed = sum(check.result == "passed" for check in found)
    logger.info(
        f"{host.print_prefix}{phase}: {passed} of {len(found)} checks passed, {seconds:.0f} s"
    )


def _host(host: Host, arguments: Any, session: AcceptanceSession) -> PhaseChecks:
    seen = machine.look(host, arguments, session, disk=True)
    session.measured["look"] = seen
    refusals = session.plan.refusals
    planned = {} if refusals else session.plan.deployed()
    yield from of_host.checks(refusals, planned, seen, session.limits)


def _looked(host: Host, arguments: Any, session: AcceptanceSession) -> dict[str, Any]:
    """Return the machine as it was looked at last."""
    if "look" not in session.measured:
        session.measured["look"] = machine.look(host, arguments, session)
    found: dict[str, Any] = session.measured["look"]
    return found


def _cards(host: Host, arguments: Any, session: AcceptanceSession) -> PhaseChecks:
    gpu, profile = session.plan.gpu, session.plan.profile
    vendor = gpu.vendor if gpu else None
    seen = _looked(host, arguments, session)
    yield from cards.checks(session.plan.cards, profile.gpus, vendor, seen)


def _fabric(host: Host, arguments: Any, session: AcceptanceSession) -> PhaseChecks:
    plan, quick = session.plan, session.options.quick
    software = [plan.software_of(each.engine) for each in session.services]
    out = fabric.left_out(plan.profile.gpus, software, quick=quick)
    if out is not None:
        yield out
        return
    measured = machine.cards_speed(host, arguments, session)
    session.measured["fabric"] = measured
    ours = cards.ours(session.plan.cards, _looked(host, arguments, session)["cards"])
    yield from fabric.checks(session.plan.gpu, measured, ours, session.limits)


def _engine(host: Host, arguments: Any, session: AcceptanceSession) -> PhaseChecks:
    if session.plan.refusals:
        yield not_run("engine", "run", "plan refused", required=True)
        return
    seen = machine.served(host, arguments, session)
    session.measured["services"] = seen
    for plan in session.services:
        model = model_of(session.plan.wanted_of(plan))
        parameters, options = model.network.parameters, session.options
        share = options.share or share_of(parameters, session.limits)
        service = AskedService(
            plan=plan,
            quantization=model.quantization,
            parameters=parameters,
            questions=options.questions,
            share=share,
        )
        yield from engine.checks(service, seen[plan.name])
        answers = seen[plan.name]["answers"]
        same = session.limits.same_answers
        yield engine.compared(plan, answers, options.reference, same)


def _api(host: Host, arguments: Any, session: AcceptanceSession) -> PhaseChecks:
    plan, seen = session.plan, _looked(host, arguments, session)
    for service in session.services:
        told = session.measured.get("services", {}).get(service.name)
        if told is not None:
            yield from api.of_service(service, told)
    is_local = transport.is_local(host)
    address = "127.0.0.1" if is_local else _address(host)
    listening = {int(port): owner for port, owner in seen["listening"].items()}
    tried = listening if plan.firewall and not is_local else {}
    reached = [port for port in tried if _is_open(address, port)]
    yield from api.ports(plan.firewall, listening, None if is_local else reached)
    if not plan.refusals:
        yield from api.keys(plan.gateway, seen["gateway"], session.limits)
        status, error = _door(address) if plan.gateway else (None, "")
        yield api.door(plan.gateway, status, error)


def _address(host: Host) -> str:
    return str(host.data.get("ssh_hostname") or host.name)


def _is_open(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=_ANSWERS).close()
    except OSError:
        return False
    return True


def _door(address: str) -> tuple[int | None, str]:
    """Return what the gateway answers to who has no key."""
    # Whether its certificate is right is the business of its clients.
    trust = ssl._create_unverified_context()
    direct = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    try:
        with direct.open(f"https://{address}:{HTTPS}/v1/models", timeout=_ANSWERS) as answer:
            return int(answer.status), ""
    except urllib.error.HTTPError as error:
        return error.code, ""
    except OSError as error:
        return None, str(error)


def _performance(host: Host, arguments: Any, session: AcceptanceSession) -> PhaseChecks:
    if session.plan.refusals:
        yield not_run("performance", "run", "plan refused", required=True)
        return
    for plan in session.services:
        if plan.task != "generate":
            yield not_run(
                "performance", "load", "no answers", plan.name, required=False, task=plan.task
            )
            continue
        try:
            runs = _load(host, session, plan)
        except Unmeasured as error:
            told = {"text": str(error)}
            yield not_run("performance", "load", "no load tool", plan.name, required=True, **told)
            continue
        session.measured.setdefault("load", {})[plan.name] = runs
        yield from performance.checks(plan, runs)


def _load(host: Host, session: AcceptanceSession, plan: ServicePlan) -> list[dict[str, Any]]:
    quick = session.options.quick
    prompt, answer = performance.lengths(plan, quick=quick)
    settings = ("ssh_hostname", "ssh_port", "ssh_user", "ssh_key", "ssh_known_hosts_file")
    told = {
        "name": host.name,
        "data": {name: host.data.get(name) for name in settings if host.data.get(name)},
        **{"port": plan.port, "served": plan.served, "prompt": prompt, "answer": answer},
        "parallel": performance.QUICK if quick else performance.FULL,
        "each": performance.EACH[quick],
        "seed": session.begun,
    }
    command = [sys.executable, "-m", "deploys.control.acceptance.load"]
    # One machine at a time: the load of another would be measured, too.
    with transport.exclusive("load"):
        done = subprocess.run(
            command, input=json.dumps(told), capture_output=True, text=True, cwd=_PROJECT
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it says nothing"]
        raise Unmeasured(lines[-1])
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _soak(host: Host, arguments: Any, session: AcceptanceSession) -> PhaseChecks:
    if session.plan.refusals:
        yield not_run("soak", "run", "plan refused", required=True)
        return
    if any(service.task == "generate" for service in session.services):
        yield from _busy(host, arguments, session)
    else:
        yield not_run("soak", "soak", "nothing to ask", required=False)
    for service in session.services:
        machine.restart(host, arguments, service)
        yield survived(host, arguments, service, "restart")


def _busy(host: Host, arguments: Any, session: AcceptanceSession) -> PhaseChecks:
    """Keep the services busy for as long as is asked for, and compare before and after."""
    before = machine.look(host, arguments, session)
    load: dict[str, Any] = {"asked": 0, "failed": 0, "tokens": 0, "error": ""}
    samples: list[dict[str, Any]] = []
    total = session.options.soak
    for begun in range(0, total, _STRETCH):
        seconds = min(_STRETCH, total - begun)
        logger.info(f"{host.print_prefix}soak: {begun} of {total} s")
        said = machine.load(host, arguments, session, seconds)
        for name in ("asked", "failed", "tokens"):
            load[name] += said[name]
        load["error"] = load["error"] or said["error"]
        samples += [{**each, "at": round(begun + each["at"], 1)} for each in said["samples"]]
    after = machine.look(host, arguments, session)
    session.measured["soak"] = {**load, "seconds": total, "samples": samples}
    yield from soak.checks(session.plan.cards, before, after, samples, load)


def survived(host: Host, arguments: Any, service: ServicePlan, what: str) -> AcceptanceCheck:
    """Return whether a service answers after a restart or a reboot."""
    try:
        state, problem = machine.answer(host, arguments, service, service.patience)
    except Unmeasured as error:
        state, problem = "unknown", str(error)
    return soak.survived(what, service.unit, service.name, state, problem)


_PHASES: dict[Phase, Callable[[Host, Any, AcceptanceSession], PhaseChecks]] = {
    "host": _host,
    "cards": _cards,
    "fabric": _fabric,
    "engine": _engine,
    "api": _api,
    "performance": _performance,
    "soak": _soak,
}
