"""Machines of the class rtx6000ada; what they run is in group_data/rtx6000ada.py."""

# Put your own machines here, by name, address or alias in ~/.ssh/config. What one machine has
# different from its class goes beside it: ("rtx6000ada-02.example", {"ssh_port": 2222}).
hosts = ["rtx6000ada-01.example"]
