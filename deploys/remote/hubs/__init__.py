"""Questions to a hub that a machine asks: what is in a repository, and what it says of itself."""
