"""Registration of verified model files with Ollama."""
