"""Names of our own units in systemd; those of engines say which engine they are of.

A program that travels to the machine cannot read this: deploys/remote/facts/managed_units.py tells
model servers from these by PREFIX. Templates name FAILED as it stands here, which a test compares.
"""

from __future__ import annotations

PREFIX = "modelrack-"
# Shares weights with the other machines of the site.
PEER = f"{PREFIX}peer.service"
# The one door of the machine, and the journal of its own that says who asked what.
GATEWAY = f"{PREFIX}gateway.service"
GATEWAY_JOURNAL = GATEWAY.removesuffix(".service")
# Has its certificate renewed by ACME, whenever the timer finds it old.
ACME = f"{PREFIX}acme.service"
ACME_TIMER = f"{PREFIX}acme.timer"
# What enables that timer: it comes and goes with the gateway.
GATEWAY_WANTS = f"{GATEWAY}.wants"
# Loads the rules that say what other machines may reach.
FIREWALL = f"{PREFIX}firewall.service"
# Its timer takes rules back that nobody has proven.
FIREWALL_UNDO = f"{PREFIX}firewall-undo"
# The chat page behind that door.
CHAT = f"{PREFIX}webui.service"
# How the machine is, and what a program of ours adds to that: cards, weights, certificates.
NODE_EXPORTER, METRICS = f"{PREFIX}node-exporter.service", f"{PREFIX}metrics.service"
# Where a machine watches: what asks all of them, what tells people, and in which form.
PROMETHEUS, ALERTMANAGER = f"{PREFIX}prometheus.service", f"{PREFIX}alertmanager.service"
NOTIFIER = f"{PREFIX}notifier.service"
# Keeps the last words of a unit that has failed: OnFailure= of every engine's unit starts it.
FAILED = f"{PREFIX}failed@.service"
# Of an appliance: what no two units share is made, and its services are asked at each boot.
IDENTITY, SELF_TEST = f"{PREFIX}identity.service", f"{PREFIX}self-test.service"
# All jobs that run, as systemctl takes a pattern.
JOBS = f"{PREFIX}job-*"

FOLDER = "/etc/systemd/system"


def job(name: str) -> str:
    """Return the unit of a job: work that takes more than a minute."""
    return JOBS.replace("*", name)


def file(unit: str) -> str:
    """Return the path of a unit's file on the machine."""
    return f"{FOLDER}/{unit}"
