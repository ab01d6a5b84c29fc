"""Programs of monitoring that run on the machine: what they say of it, and whom they tell."""
