"""Configures the kernels that a driver's module did not compile for, as the driver's stage does."""

from pyinfra import host

from deploys.facts.machine import Hardware
from deploys.operations import packages

machine = host.get_fact(Hardware, data_root="/data")
packages.configured(
    name="Configure kernels that the old driver does not compile for",
    packages=machine.broken_packages if machine else (),
)
