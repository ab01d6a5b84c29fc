"""The machine that `python -m tests.gpu.deploy` runs on, over SSH as any other."""

hosts = ["127.0.0.1"]
