"""Known vulnerabilities of what is pinned, and which of it a version has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

# Of deploys/locks/advisories.yaml, whose first lines say what each field means.
Advisory = Mapping[str, Any]


def vulnerable(
    versions: Mapping[str, Collection[str]], advisories: Sequence[Advisory]
) -> Iterator[str]:
    """Yield a sentence about each version inside a range that nothing holds off.

    + versions: by package
    """
    for entry in advisories:
        for version in sorted(versions.get(entry["package"], ())):
            if inside(version, entry["affected"]) and version not in entry.get("held_off", ()):
                yield f"{entry['package']} {version}: {', '.join(entry['ids'])}, {entry['what']}"


def inside(version: str, affected: str) -> bool:
    """Return whether a version is in a range; a commit, of which nobody knows, is not."""
    try:
        return SpecifierSet(affected).contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False
