"""Machines of the class v100; what they run is in group_data/v100.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("v100-02.example", {"ssh_port": 2222}).
hosts = ["v100-01.example"]
