"""The record of a bundle, BUNDLE.json: what it holds, for plans that take all from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from deploys.planning.bundle.contents import Contents
from deploys.planning.inputs.locks import ArtifactLock
from deploys.planning.inputs.refusal import Refusal

NAME = "BUNDLE.json"


@dataclass(frozen=True, kw_only=True)
class BundleRecord:
    """What was put into a bundle.

    + packages: by system, such as "debian 12 amd64", those that machines ask for, as they are asked
      for, and the names of all that belong to them
    + archives: sources, releases and keys, by their place in the bundle
    + environments: by name of the lock, its digest and the Pythons that there are wheels for
    + weights: by key of the model, its revision
    """

    packages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    archives: tuple[str, ...] = ()
    environments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BundleRecord:
        return cls(
            packages={name: tuple(each) for name, each in data["packages"].items()},
            archives=tuple(data["archives"]),
            environments={name: tuple(each) for name, each in data["environments"].items()},
            weights=dict(data["weights"]),
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def with_contents(self, added: Contents, closure: Iterable[str] = ()) -> BundleRecord:
        """Return the record of a bundle that holds these as well.

        + closure: names of all packages that belong to those that were asked for
        """
        system = system_of(added)
        packages = sorted({*self.packages.get(system, ()), *added.packages, *closure})
        environments = {name: set(each) for name, each in self.environments.items()}
        for each in added.environments:
            environments.setdefault(each.lock, set()).add(_of_environment(each))
        return BundleRecord(
            packages={**self.packages, system: tuple(packages)},
            archives=tuple(sorted({*self.archives, *map(place_of, added.archives)})),
            environments={name: tuple(sorted(each)) for name, each in environments.items()},
            weights={
                **self.weights,
                **{each.model: revision_of(each) for each in added.weights},
            },
        )

    def lacks(self, wanted: Contents) -> Iterator[Refusal]:
        """Yield a refusal for each kind of what is wanted and not there."""
        yield from self.lacks_packages(wanted.packages, system_of(wanted))
        for archive in wanted.archives:
            if place_of(archive) not in self.archives:
                yield Refusal(f"The bundle lacks {place_of(archive)}", _MAKE)
        for each in wanted.environments:
            if _of_environment(each) not in self.environments.get(each.lock, ()):
                yield Refusal(
                    f"The bundle lacks the packages of {each.lock} {each.version} for Python"
                    f" {each.python}",
                    _MAKE,
                )
        for weights in wanted.weights:
            if self.weights.get(weights.model) != revision_of(weights):
                yield Refusal(f"The bundle lacks {weights.model} as it is pinned", _MAKE)

    def lacks_packages(self, wanted: Iterable[str], system: str) -> Iterator[Refusal]:
        """Yield a refusal if packages are not there for a system."""
        if system not in self.packages:
            yield Refusal(f"The bundle has no packages for {system}", _MAKE)
        elif packages := sorted({*wanted} - {*self.packages[system]}):
            yield Refusal(f"The bundle lacks {', '.join(packages)} for {system}", _MAKE)


_MAKE = "Add it with deploys/bundle.py where there is a way out, and copy the bundle again"


def system_of(contents: Contents) -> str:
    """Return the name of a system in the record: "debian 12 amd64"."""
    return f"{contents.system} {contents.architecture}"


def place_of(archive: ArtifactLock) -> str:
    """Return where an archive lies in the bundle, which is what a mirror of its origin has."""
    return f"{archive.origin}/{archive.path}"


def revision_of(weights: Any) -> str:
    """Return a word for exactly these files."""
    return ",".join(sorted(file.sha256[:12] for file in weights.files))


def _of_environment(environment: Any) -> str:
    return f"{environment.digest} cp{environment.python.replace('.', '')}"
