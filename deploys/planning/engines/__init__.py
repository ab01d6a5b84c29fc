"""The engines: installation, requirements, capabilities and known failures."""
