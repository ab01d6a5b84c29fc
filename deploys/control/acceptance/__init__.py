"""An acceptance as it goes on: what is asked of the machine, and the report of all of it."""
