"""What takes longer at a gateway than every run of the tests may: python -m tests gateway."""
