"""Machines of the class cpu; what they run is in group_data/cpu.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("cpu-02.example", {"ssh_port": 2222}).
hosts = ["cpu-01.example"]
