"""Monitoring: plans and alerts."""
