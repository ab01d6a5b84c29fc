"""BUNDLE.json, the record of a bundle, read from and written to its folder."""

from __future__ import annotations

import json
from pathlib import Path

from pyinfra.api import Host

from deploys.connection import transport
from deploys.control.replaced import replace
from deploys.facts.bundle import BundleText
from deploys.planning.bundle.record import NAME, BundleRecord
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site


def of_site(host: Host, site: Site) -> BundleRecord | None:
    """Return the record of the bundle that a machine takes all from; None if there is none.

    Raise Refusal where it is to be on a disk of the machine, and is not.
    """
    on_disk = None
    if site.disk and not transport.is_simulated(host):
        text = host.get_fact(BundleText, folder=site.disk)
        if text is None:
            raise Refusal(
                f"There is no bundle in {site.disk} of this machine",
                f"Plug its disk in and mount it: mount -o ro LABEL=... {site.disk}; or copy the"
                " bundle there",
            )
        on_disk = _parse(text, f"{site.disk}/{NAME} of this machine")
    return read(site.bundle) if site.bundle else on_disk


def read(bundle: Path) -> BundleRecord:
    """Return the record of a bundle, an empty one where there is none yet."""
    path = bundle / NAME
    if not path.exists():
        return BundleRecord()
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise _unreadable(str(path), error) from error
    return _parse(text, str(path))


def write(bundle: Path, record: BundleRecord) -> None:
    """Write it, replacing the file as a whole."""
    replace(bundle / NAME, json.dumps(record.to_json(), indent=2, sort_keys=True) + "\n")


def _parse(text: str, where: str) -> BundleRecord:
    try:
        return BundleRecord.from_json(json.loads(text))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise _unreadable(where, error) from error


def _unreadable(where: str, error: Exception) -> Refusal:
    return Refusal(f"{where} cannot be read: {error!r}", "Copy the bundle again from who made it")
