"""A model's files: their sources, where they are stored, and which machines share them."""
