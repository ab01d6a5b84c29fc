"""The engines: one record each (base.py), listed in registry.py, and what is decided by it.

rules.py and failures/ hold what several of them share.
"""
