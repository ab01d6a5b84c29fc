"""The real deploy on real machines, undisturbed and disturbed."""
