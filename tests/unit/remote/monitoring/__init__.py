"""Programs of monitoring."""
