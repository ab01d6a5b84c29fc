"""Verified downloads from several sources at once."""
