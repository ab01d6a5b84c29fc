"""The gateway: who may ask, what answers where, and what is refused."""
