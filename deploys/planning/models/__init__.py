"""The models that can be served, and what sizing needs to know of them."""
