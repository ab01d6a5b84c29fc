"""An appliance's image on the builder's computer: its tree, its assembly, what is said of it."""
