"""pyinfra facts of our own, each read in one round trip."""
