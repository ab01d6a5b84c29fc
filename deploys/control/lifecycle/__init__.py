"""A machine as it is, beside what a plan knows of it."""
