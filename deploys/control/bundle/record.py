"""BUNDLE.json, the record of a bundle, read from and written to its folder."""

from __future__ import annotations

import json
from pathlib import Path

from deploys.control.replaced import replace
from deploys.planning.bundle.record import NAME, BundleRecord
from deploys.planning.inputs.refusal import Refusal


def read(bundle: Path) -> BundleRecord:
    """Return the record of a bundle, an empty one where there is none yet."""
    path = bundle / NAME
    if not path.exists():
        return BundleRecord()
    try:
        return BundleRecord.from_json(json.loads(path.read_text()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise Refusal(
            f"{path} cannot be read: {error!r}", "Copy the bundle again from who made it"
        ) from error


def write(bundle: Path, record: BundleRecord) -> None:
    """Write it, replacing the file as a whole."""
    replace(bundle / NAME, json.dumps(record.to_json(), indent=2, sort_keys=True) + "\n")
