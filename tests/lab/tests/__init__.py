"""Tests of the lab itself: its machines, its stand-ins for repositories, what is locked."""
