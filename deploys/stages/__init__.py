"""Deploys that every machine gets: base, drivers, peers, weights, services, state."""
