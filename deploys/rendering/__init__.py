"""The plan as text: its page, and every file written to the machine."""
