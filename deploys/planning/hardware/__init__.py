"""The accelerators, the software that goes with them, and their health."""
