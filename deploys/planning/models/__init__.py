"""The models that can be served, and the figures that sizing needs."""
