"""Tests on machines with a kernel of their own."""
