"""The way to the machine: pyinfra's connectors, our programs, messages."""
