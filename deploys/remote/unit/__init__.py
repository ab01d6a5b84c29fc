"""What a unit of an appliance does by itself: identity, self-test, words on its console."""
