"""The gateway: the one door to the models, for a team and for other machines."""

from __future__ import annotations

from dataclasses import replace

from pyinfra import host
from pyinfra.api import deploy

from deploys.connection import transport
from deploys.control import own_certificate
from deploys.control.authority import Authority, authority
from deploys.control.current_plan import current_plan
from deploys.operations import distribution_service, packages, users
from deploys.operations.files import Directory, File
from deploys.operations.gateway import acme, certificate, configuration
from deploys.operations.gateway.certificate import Signed
from deploys.operations.services import service
from deploys.operations.services.unit import Unit
from deploys.operations.users import User
from deploys.planning import unit_names
from deploys.planning.gateway import plan as gateway
from deploys.planning.gateway.plan import GatewayPlan
from deploys.planning.inputs.gateway import Acme
from deploys.planning.plan import HostPlan
from deploys.rendering import gateway as rendering
from deploys.rendering.templates import Rendered

_FOLDER = Directory(path=gateway.FOLDER, mode="750", group=gateway.USER)


@deploy("Gateway")
def install() -> None:
    """Install what the gateway needs; starts nothing, and makes no key and no certificate."""
    plan = current_plan()

    if plan.gateway:
        distribution_service.installed(
            name="Install HAProxy",
            package="haproxy",
            manager=plan.package_manager,
            systemd=plan.systemd,
        )
        users.present(
            name="Create the user of the gateway",
            users=(User(name=gateway.USER, home="/nonexistent"),),
        )
    if plan.gateway and plan.gateway.acme:
        packages.installed(
            name="Install what asks for certificates by ACME",
            packages=("acme-tiny",),
            manager=plan.package_manager,
            systemd=plan.systemd,
        )


@deploy("Gateway")
def start() -> None:
    """Have its certificates made, write its configuration, and start or reload it; or end it."""
    plan = current_plan()

    if plan.gateway:
        _start(plan, plan.gateway)
    else:
        service.absent(
            name="Disable the gateway",
            unit=unit_names.GATEWAY,
            paths=(
                *(*rendering.UNIT_FILES, *rendering.ACME_FILES),
                *(gateway.FOLDER, gateway.CHAT_KEY),
            ),
            systemd=plan.systemd,
        )


def _start(plan: HostPlan, wanted: GatewayPlan) -> None:
    signing = _authority(plan)
    rendered = rendering.files(wanted, signing.pem if signing else "")
    certificates = _certificates(wanted)
    own = _own_certificate(wanted)

    # In an image all boxes would share them.
    if plan.systemd and wanted.acme:
        acme.account_made(
            name="Make the key of the account that asks for certificates",
            key=gateway.ACME_KEY,
            map_file=gateway.ACME_MAP,
            group=gateway.USER,
        )
    if plan.systemd and signing and certificates:
        certificate.signed(
            name="Have the site's CA sign the gateway's certificates",
            wanted=certificates,
            folder=_FOLDER,
            secrets=plan.site.secrets,
        )
    if plan.systemd and wanted.chat:
        configuration.chat_key_made(
            name="Make the chat page's own key",
            key=gateway.CHAT_KEY,
            map_file=gateway.CHAT_MAP,
            user=gateway.CHAT_USER,
            group=gateway.USER,
        )
    configuration.applied(
        name="Write the gateway's configuration, and have it taken over",
        folder=_FOLDER,
        configuration=_file(rendered.configuration),
        others=[*map(_file, (*rendered.fixed, *rendered.maps)), *own],
        maps=[*(each.path for each in rendered.maps), *([gateway.ACME_MAP] if wanted.acme else [])],
        certificates=[*(each.path for each in certificates), *(each.path for each in own)],
        digest=rendered.digest,
        systemd=plan.systemd,
    )
    service.running(
        name="Start the gateway",
        units=[
            Unit(
                name=unit_names.GATEWAY,
                files=tuple(map(File.of, rendering.unit())),
                digest=None,
                url=f"http://127.0.0.1:{gateway.METRICS}",
                model=None,
                journal=unit_names.GATEWAY_JOURNAL,
                stable=1.0,
                patience=30.0,
            )
        ],
        systemd=plan.systemd,
    )
    # Who signs looks whether it answers.
    if wanted.acme and wanted.host:
        unit = rendering.acme(wanted.acme, wanted.host, _authorities(wanted.acme))
        acme.renewed(
            name="Have the gateway's certificate renewed by ACME",
            entries=[Directory(path=rendering.ACME_FOLDER), *map(File.of, unit)],
            settings=rendering.acme_settings(wanted.acme, wanted.host),
            systemd=plan.systemd,
        )
    else:
        service.absent(
            name="Ask for no certificate by ACME",
            unit=unit_names.ACME_TIMER,
            paths=rendering.ACME_FILES,
            systemd=plan.systemd,
        )


def _authority(plan: HostPlan) -> Authority | None:
    # A machine of which only the plan is made needs no CA on this computer; nor does the tree of an
    # image, each unit of which vouches for itself, nor such a unit.
    wanted = plan.gateway
    unit = wanted is not None and wanted.vouches and not wanted.between_machines
    alone = transport.is_simulated(host) or plan.is_tree or unit
    return None if alone else authority(plan.site.secrets)


def _certificates(wanted: GatewayPlan) -> list[Signed]:
    """Return those that the site's CA signs."""
    found = []
    if wanted.host and not wanted.own and not wanted.vouches:
        found.append(
            Signed(
                path=gateway.CERTIFICATE,
                name=wanted.host,
                names=wanted.names,
                until_another=wanted.acme is not None,
            )
        )
    if wanted.between_machines:
        found.append(
            Signed(path=gateway.MACHINE_CERTIFICATE, name=wanted.name, names=(wanted.name,))
        )
    return found


def _own_certificate(wanted: GatewayPlan) -> list[File]:
    if wanted.host is None or wanted.own is None:
        return []
    pem = own_certificate.read(wanted.own, wanted.host)
    return [File(path=gateway.CERTIFICATE, content=pem, mode="640", group=gateway.USER)]


def _authorities(wanted: Acme) -> str | None:
    # Nor are the operator's files wanted of a machine of which only the plan is made.
    return None if transport.is_simulated(host) else own_certificate.authorities(wanted)


def _file(rendered: Rendered) -> File:
    return replace(File.of(rendered), group=gateway.USER)
