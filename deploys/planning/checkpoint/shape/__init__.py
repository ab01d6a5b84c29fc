"""The shape of a network, read out of what its configuration says."""
