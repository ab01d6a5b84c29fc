"""Programs that stand for hardware and kernel on a lab machine; they run there, alone."""
