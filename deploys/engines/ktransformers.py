"""KTransformers: installed from locked Python packages, one server per service."""

from __future__ import annotations

from pyinfra.api import deploy

from deploys.engines import python_packages


@deploy("KTransformers")
def install() -> None:
    """Install the locked packages in a versioned directory; running services are left alone."""
    python_packages.install("ktransformers")


@deploy("KTransformers")
def start() -> None:
    """Configure and start every planned service, and wait until its model answers."""
    python_packages.start("ktransformers")
