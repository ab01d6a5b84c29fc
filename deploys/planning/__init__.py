"""The pure domain: what a machine should become, decided without touching one."""
