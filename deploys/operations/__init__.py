"""pyinfra operations of our own: each reads, compares, then does nothing or yields commands."""
