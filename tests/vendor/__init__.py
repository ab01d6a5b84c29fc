"""A vendor's appliances: updated from a disk by themselves, and all kinds of what a bundle has."""
