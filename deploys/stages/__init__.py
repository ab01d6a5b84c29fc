"""What every machine gets, in run order: base, weights, state."""
