"""A model's files: where they come from, where they go, who shares them."""
