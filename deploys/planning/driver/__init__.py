"""The GPU driver of a machine: its current state, the plan for it, and the checks afterwards.

choice.py decides, from the facts in state.py; for vendors other than NVIDIA it uses amd.py and
vendors.py. plan.py holds the decision, as the stages read it.
"""
