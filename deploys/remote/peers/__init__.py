"""Machines of one site that share a download."""
