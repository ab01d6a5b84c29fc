"""Engines, archives and files are put in place."""
