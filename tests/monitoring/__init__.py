"""Machines that are watched: every alert caused and ended, every query answered, the page seen."""
