"""Machines of the class w7900; what they run is in group_data/w7900.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("w7900-02.example", {"ssh_port": 2222}).
hosts = ["w7900-01.example"]
