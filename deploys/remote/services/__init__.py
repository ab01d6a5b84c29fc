"""How units stand, what their servers answer, and why they failed."""
