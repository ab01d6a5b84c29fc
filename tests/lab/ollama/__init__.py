"""A stand-in for Ollama: its folder, its settings, its commands and its HTTP, before llama-server.

It does what Ollama 0.33 was read to do, as far as a deploy has to do with it, and is strict where
Ollama is lenient: a setting that Ollama does not have, or a value that it would pass over with a
warning, ends it. `release.py` packs it as Ollama's release is packed; there it runs with nothing
but Python, so only the standard library is imported.
"""
