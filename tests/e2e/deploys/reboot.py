"""A reboot alone, with little patience."""

from dataclasses import replace

from deploys.control.current_plan import current_plan
from deploys.operations import reboot

plan = current_plan(services=False)
assert plan.driver is not None

reboot.into_the_driver(
    name="Reboot",
    driver=replace(plan.driver, version="999.1", reboot=True, reboot_timeout=5),
    busy=False,
    data_root=plan.site.data_root,
)
