"""Who may sign the bundles that machines update themselves from: the file that a site names."""

from __future__ import annotations

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Site

# Where machines have it; deploys/remote/install/update.py reads it there.
PATH = "/etc/modelrack/signers"


def of(site: Site) -> str | None:
    """Return the names and public keys that a site names; None if it names none.

    Raise Refusal if the file cannot be read or has no key.
    """
    if site.signers is None:
        return None
    path = site.signers.expanduser()
    hint = "Write a name and a public key on each line, as in: vendor ssh-ed25519 AAAA..."
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise Refusal(f"Who signs bundles cannot be read from {path}: {error}", hint) from error
    if " ssh-" not in text:
        raise Refusal(f"{path} has no public key", hint)
    return text
