"""Keeps nouveau off cards, as the driver's stage does, on a machine that has none."""

from deploys.operations import driver
from deploys.operations.files import File
from deploys.rendering import render
from tests.unit.planning.driver import driver_examples

driver.blacklisted(
    name="Blacklist conflicting kernel modules",
    blacklist=File.of(render.blacklist(driver_examples.plan(driver_examples.machine("rtx4090")))),
    data_root="/data",
    manager="apt",
)
