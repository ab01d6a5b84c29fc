"""The connection to a machine: pyinfra's connectors, our programs, and failure messages."""
