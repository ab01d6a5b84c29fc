"""Installation of engines, archives and files."""
