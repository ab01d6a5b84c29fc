"""What differs between a machine and its plan beyond what operations compare."""
