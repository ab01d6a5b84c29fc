"""A checkpoint as it is published: what its own documents say, read as a Model."""
