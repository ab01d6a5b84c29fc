"""The files of monitoring."""
