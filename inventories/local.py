"""This machine, without SSH; what it runs is in group_data/local.py."""

# The name of this file is the group, and group_data/local.py gives the group its profile.
hosts = ["@local"]
