"""What runs on the operator's computer: pins, tokens, the hubs' clients, the current plan."""
