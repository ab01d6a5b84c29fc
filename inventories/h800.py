"""Machines of the class h800; what they run is in group_data/h800.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("h800-02.example", {"ssh_port": 2222}).
hosts = ["h800-01.example"]
