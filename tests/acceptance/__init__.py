"""The acceptance of a machine, for real: accepted once, then with one fault after the other."""
