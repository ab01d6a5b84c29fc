"""What a service becomes on the machine, one module an engine: its unit and its settings.

Each has `files(plan, service, digest)`: every file of one service. `digest` stands in the
environment of its process; it is empty while the digest itself is being made of these files.
"""
