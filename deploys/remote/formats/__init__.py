"""File formats of weights and archives."""
