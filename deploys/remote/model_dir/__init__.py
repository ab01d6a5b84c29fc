"""Model directories: their manifests, and the checks against them."""
