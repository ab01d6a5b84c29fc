"""Cards for the users of the gateways of a run, written to a folder here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from pyinfra import host, logger, state

from deploys.control.clients.gathered import Gathered
from deploys.control.current_plan import planned, stop
from deploys.control.replaced import replace
from deploys.planning.gateway.cards import ServedModel, cards
from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.inputs.profile import HostProfile
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site
from deploys.planning.plan import HostPlan
from deploys.planning.weights.weights import model_of
from deploys.rendering.cards import ENGLISH, SITE_CA, Trust, html, language, markdown


@dataclass(frozen=True, kw_only=True)
class _OfHost:
    """What one host says of its gateway and its models, and what cards are wanted.

    + gateway: None where clients do not ask this host
    """

    gateway: GatewayPlan | None
    trust: Trust | None
    served: tuple[ServedModel, ...]
    locale: str
    folder: Path


def write(folder: Path, locale: str | None) -> None:
    """Plan the current host; when all are planned, write a card for each user.

    + locale: language of the cards; None: that of the chat page
    """
    this = state.inventory.get_host(host.name)
    _, plan = planned()
    try:
        found = _wanted(plan, folder, locale)
    except Refusal as refusal:
        stop(this, [refusal])
    _gathered.add(this.state, this, found)


def _wanted(plan: HostPlan, folder: Path, locale: str | None) -> _OfHost:
    for refusal in plan.refusals:
        if refusal.service == "gateway":
            raise refusal
    profiles = [each.data.get("profile") for each in state.inventory]
    if not any(isinstance(each, HostProfile) and each.gateway for each in profiles):
        raise Refusal(
            "No profile of this inventory has a gateway, so there is nothing to be written of one",
            'Add gateway=Gateway(host="ai.lab") to a profile in inventories/group_data',
        )
    gateway = plan.gateway if plan.gateway and plan.gateway.host else None
    chat = gateway.chat if gateway else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(
            f"The cards cannot be written to {folder}: {error.strerror}",
            "Name another folder: --data folder=cards",
        ) from error
    return _OfHost(
        gateway=gateway,
        trust=_trust(gateway, plan.site) if gateway else None,
        served=tuple(_served(plan)),
        locale=locale or (chat.locale if chat else ENGLISH),
        folder=folder,
    )


def _trust(gateway: GatewayPlan, site: Site) -> Trust:
    acme, own = gateway.acme, gateway.own
    if acme and not acme.ca:
        # It is another after each renewal, and systems know who signs it.
        issuer = urlsplit(str(acme.directory)).hostname
        return Trust(fingerprint=None, issuer=str(issuer), pem=None)
    path = own.chain if own else acme.ca if acme and acme.ca else site.secrets / SITE_CA
    path = path.expanduser()
    try:
        pem = path.read_bytes()
        found = x509.load_pem_x509_certificate(pem)
    except (OSError, ValueError) as error:
        raise Refusal(
            f"The certificate {path} cannot be read: {error}",
            "It is made by the first deploys/full.py, or named in certificate of the Gateway",
        ) from error
    return Trust(
        fingerprint=found.fingerprint(hashes.SHA256()).hex(":").upper(),
        issuer=found.issuer.rfc4514_string(),
        pem=None if own else pem.decode(),
    )


def _served(plan: HostPlan) -> Iterator[ServedModel]:
    models = {service.name: model_of(service) for service in plan.profile.services}
    for service in plan.services:
        model = models[service.name]
        asked = {service.name: model.title}
        asked |= {
            adapter.asked: f"{model.title} with adapter {adapter.name}"
            for adapter in service.adapters
            if adapter.asked
        }
        for name, title in asked.items():
            yield ServedModel(
                name=name,
                title=title,
                task=service.task,
                images=service.task == "generate" and model.images,
                context=service.context,
            )


def _write(found: dict[str, _OfHost], missing: Sequence[str]) -> None:
    served = {model.name: model for each in found.values() for model in each.served}
    gateways = [each for each in found.values() if each.gateway]
    for card in cards((each.gateway for each in gateways if each.gateway), served):
        first = next(each for each in gateways if each.gateway and each.gateway.host == card.host)
        assert first.trust
        folder = first.folder / card.host.replace(":", "-")
        folder.mkdir(exist_ok=True)
        replace(folder / f"{card.user}.md", markdown(card, first.trust, first.locale))
        replace(folder / f"{card.user}.html", html(card, first.trust, first.locale))
        if first.trust.pem:
            replace(folder / SITE_CA, first.trust.pem)
        models = ", ".join(model.name for model in card.models) or "no model"
        click.echo(f"{folder / card.user}: .md and .html in {language(first.locale)}, {models}")
    if missing:
        logger.warning(
            f"Without what these serve, as they could not be asked: {', '.join(missing)}"
        )


_gathered = Gathered(_write)
