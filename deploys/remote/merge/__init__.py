"""Shards or pieces become one GGUF file."""
