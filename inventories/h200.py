"""Machines of the class h200; what they run is in group_data/h200.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("h200-02.example", {"ssh_port": 2222}).
hosts = ["h200-01.example"]
