"""What an image of an appliance has beside what was deployed to its tree."""
