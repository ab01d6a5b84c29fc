"""What a unit of an appliance does by itself: its identity, its self-test, what its console says."""
