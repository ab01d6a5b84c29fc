"""Make a bundle of the current host's plan."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from pyinfra import host, state

from deploys.connection import transport
from deploys.control.bundle import appliance as appliances
from deploys.control.bundle import fill
from deploys.control.current_plan import pinned, planned, stop
from deploys.planning.bundle.contents import contents
from deploys.planning.image.recipe import of_bundle
from deploys.planning.inputs.refusal import Refusal


def make(output: object, appliance: object, image: object) -> None:
    """Put what this host's plan takes from elsewhere into a folder; a refusal stops the host.

    + output: the folder, as the command line has it
    + appliance: name under which such a machine finds what it needs to update itself; None if it
      is deployed to from elsewhere
    + image: "yes" for what images of this machine's system are made of, too, or further packages of
      their base tree, with commas between them; a kernel among these takes the usual one's place
    """
    this = state.inventory.get_host(host.name)
    machine, _ = planned()
    plan = pinned()
    try:
        if not isinstance(output, str):
            raise Refusal("It is not said where the bundle goes", "Add --data output=/srv/bundle")
        if plan.refusals:
            stop(this, plan.refusals)
        bundle = Path(output)
        bundle.parent.mkdir(parents=True, exist_ok=True)
        # One at a time, and on the same file system: files are moved.
        with (
            transport.exclusive(f"fill {bundle}"),
            tempfile.TemporaryDirectory(prefix=f".{bundle.name}-", dir=bundle.parent) as work,
        ):
            system = f"{machine.os} {machine.os_version}"
            driver = plan.driver is not None
            base = of_bundle(system, image, driver=driver) if isinstance(image, str) else ()
            wanted = contents(plan, machine, base)
            if isinstance(appliance, str):
                appliances.add(appliance, plan, wanted.own_python, bundle)
                _say(f"what {appliance} updates itself with")
            fill.fill(wanted, plan.site, bundle, Path(work), _say)
    except Refusal as refusal:
        stop(this, [refusal])


def _say(line: str) -> None:
    click.echo(f"{host.name}: {line}")
