"""The beginning and the end of a machine's time with modelrack."""
