"""What decisions read: the profile, the site, the machine and the pins."""
