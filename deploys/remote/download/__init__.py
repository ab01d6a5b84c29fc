"""Files from several sources at once, proven."""
