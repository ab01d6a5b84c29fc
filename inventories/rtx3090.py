"""Machines of the class rtx3090; what they run is in group_data/rtx3090.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("rtx3090-02.example", {"ssh_port": 2222}).
hosts = ["rtx3090-01.example"]
