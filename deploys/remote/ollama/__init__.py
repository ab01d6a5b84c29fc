"""Proven files become models of Ollama's."""
