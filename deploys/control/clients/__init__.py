"""What people reach the models with, and what they have used: for the scripts of these names."""
