"""Machines of the class h20; what they run is in group_data/h20.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("h20-02.example", {"ssh_port": 2222}).
hosts = ["h20-01.example"]
