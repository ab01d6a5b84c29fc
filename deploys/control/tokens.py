"""Access tokens of the hubs, read from files on the operator's computer that the site names.

A token is sent to its hub, and to machines as a file that only root can read. It appears on no
command line, in no log, in no lock and in no record of what is deployed.
"""

from __future__ import annotations

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Hub, Site


def of(site: Site) -> dict[Hub, str]:
    """Return the token of each hub that the site names a file for.

    Raise Refusal if a file cannot be read or does not hold a token.
    """
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
