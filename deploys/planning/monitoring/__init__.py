"""Monitoring: what is watched where, by whom, how long it is kept, and what is told to people."""
