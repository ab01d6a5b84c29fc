"""Machines of the class l40s; what they run is in group_data/l40s.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("l40s-02.example", {"ssh_port": 2222}).
hosts = ["l40s-01.example"]
