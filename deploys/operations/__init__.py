"""Our own pyinfra operations: each reads, compares, and then does nothing or yields commands."""
