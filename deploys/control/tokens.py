"""Access tokens of the hubs: files on the operator's computer, which the site names.

A token goes to its hub, and to machines as a file that root alone can read. It is in no command
line, no log, no lock and no record of what is deployed.
"""

from __future__ import annotations

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Hub, Site


def of(site: Site) -> dict[Hub, str]:
    """The token of each hub that the site names a file for."""
    found: dict[Hub, str] = {}
    for hub, path in site.tokens.items():
        try:
            token = path.expanduser().read_text(encoding="utf-8").strip()
        except OSError as error:
            raise Refusal(
                f"The token for {hub} cannot be read from {path}: {error.strerror}",
                f"Write it there, or take {hub} out of tokens of the site",
            ) from error
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise Refusal(
                f"{path} does not hold a token for {hub}", "Write one line with the token into it"
            )
        found[hub] = token
    return found
