"""A vendor's line on its own computer: disks written and read back, units tested and sealed."""
