"""The phases of an acceptance as operations, each of which lets the next one run."""
