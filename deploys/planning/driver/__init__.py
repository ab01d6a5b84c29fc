"""The GPU driver of a machine: what is there, what is done about it, and what must hold afterwards.

choice.py decides, from the facts in state.py; plan.py is what it decides, as the stage reads it.
"""
