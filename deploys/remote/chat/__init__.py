"""Programs for the chat page: its first administrator, and its database across versions."""
