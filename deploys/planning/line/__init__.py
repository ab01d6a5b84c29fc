"""A vendor's line: which disk may be written, and what a batch is made of."""
