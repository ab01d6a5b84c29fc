"""The options of the pinned engines, and what a service may set of them."""
