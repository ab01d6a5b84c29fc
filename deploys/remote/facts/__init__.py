"""Facts about this machine: hardware, drivers, packages, units."""
