"""What runs on the operator's computer: locks, tokens, clients of the hubs, the current plan."""
