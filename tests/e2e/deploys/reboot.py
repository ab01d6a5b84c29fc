"""A reboot alone, with little patience."""

from dataclasses import replace

from deploys.control.current_plan import current_plan
from deploys.operations import driver

plan = current_plan(services=False)
assert plan.driver is not None

driver.rebooted(
    name="Reboot",
    driver=replace(plan.driver, version="999.1", reboot=True, reboot_timeout=5),
    busy=False,
    data_root=plan.site.data_root,
)
