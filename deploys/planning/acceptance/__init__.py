"""The acceptance of a machine: what is held against what, and what comes of it."""
