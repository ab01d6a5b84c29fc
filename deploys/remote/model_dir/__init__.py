"""A model's directory: its manifest, and whether that holds."""
