"""What every machine gets, in run order: base, peers, weights, state."""
