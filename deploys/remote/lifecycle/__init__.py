"""A machine as it is, beside what a plan knows; what was there before; what is taken away."""
