"""What an acceptance measures on the machine itself."""
