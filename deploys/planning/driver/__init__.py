"""The GPU driver of a machine: what is there, what is done about it, and what must hold afterwards.

choice.py decides, from the facts in state.py; for what is not NVIDIA's it asks amd.py and
vendors.py. plan.py is what is decided, as the stages read it.
"""
