"""The engines: what each one is, needs, can do and is known to fail with."""
