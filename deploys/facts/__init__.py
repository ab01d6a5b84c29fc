"""Our own pyinfra facts: what is there, read in one round trip each."""
