"""The planning domain: decides what a machine should become, without any I/O."""
