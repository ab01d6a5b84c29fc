"""The placement of every service on a machine: cards, parallelism, context, offload; with reasons.

allocate.py assigns cards to services, through sharded.py and cpu.py (engines that fill
cards, and such without cards) and layer_offload.py (engines that deal layers); choice.py holds the
result.
"""
