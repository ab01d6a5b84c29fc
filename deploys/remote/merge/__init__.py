"""Merge shards or pieces into one GGUF file."""
