"""Machines of the class mi300x; what they run is in group_data/mi300x.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("mi300x-02.example", {"ssh_port": 2222}).
hosts = ["mi300x-01.example"]
