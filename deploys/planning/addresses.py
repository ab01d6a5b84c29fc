"""Names and addresses of machines as text."""

from __future__ import annotations


def in_url(host: str) -> str:
    """Return a name or an address as URLs and `host:port` have it: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
