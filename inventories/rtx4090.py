"""Machines of the class rtx4090; what they run is in group_data/rtx4090.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("rtx4090-02.example", {"ssh_port": 2222}).
hosts = ["rtx4090-01.example"]
