"""LoRA adapters of a service: what they are, whether they fit, and what they take."""
