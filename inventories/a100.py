"""Machines of the class a100; what they run is in group_data/a100.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("a100-02.example", {"ssh_port": 2222}).
hosts = ["a100-01.example"]
