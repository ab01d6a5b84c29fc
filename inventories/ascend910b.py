"""Machines of the class ascend910b; what they run is in group_data/ascend910b.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("ascend910b-02.example", {"ssh_port": 2222}).
hosts = ["ascend910b-01.example"]
