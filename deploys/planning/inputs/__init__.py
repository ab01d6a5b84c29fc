"""The inputs of planning: profile, site, machine and locks."""
