"""The plan as text: its page, and every file that it becomes on the machine."""
