"""What an appliance's image is made of, and what must not be in it; nothing is touched here."""
