"""Accelerators, the software stacks that support them, and hardware health."""
