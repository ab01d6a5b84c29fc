"""Machines that serve one model in pairs; what they run is in group_data/h20x2.py."""

# In this order: of each two the first answers. Two more serve a second copy. `fabric_address` is
# where a machine talks to the other of its pair; fabric of the site may say the network instead.
hosts = [
    ("h20x2-01.example", {"fabric_address": "10.9.0.11"}),
    ("h20x2-02.example", {"fabric_address": "10.9.0.12"}),
]
