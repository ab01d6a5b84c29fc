"""Who has asked which model for how much, by month, of all machines together; changes nothing.

pyinfra inventories/h800.py deploys/usage.py -y
pyinfra inventories/h800.py deploys/usage.py -y --data format=csv > usage.csv

Each machine sums the log of its own gateway, which holds no question and no answer. A machine that
could not be asked is named, and the exit code is 1.
"""

from pyinfra import host

from deploys.control.clients import usage
from deploys.control.current_plan import without_python

# A machine that nothing was deployed to yet has nothing to say.
if not without_python(to_change=False):
    usage.read("csv" if host.data.get("format") == "csv" else "table")
