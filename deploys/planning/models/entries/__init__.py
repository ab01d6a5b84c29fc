"""The catalogue's entries, a table a family."""
