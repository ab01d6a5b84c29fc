"""The name of a model on a hub, as an operator types it: `modelscope:OWNER/NAME@REVISION:PATTERN`.

A catalogue key has neither a colon nor a slash, so every text with one of them is meant as such.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.site import Hub

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REVISION = r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,127}"
_REFERENCE = re.compile(
    rf"(?P<hub>modelscope|huggingface):(?P<repository>{_NAME}/{_NAME})"
    rf"(?:@(?P<revision>{_REVISION}))?(?::(?P<pattern>[^:@]{{1,200}}))?"
)
_SHORT: dict[str, Hub] = {
    "modelscope": "modelscope",
    "ms": "modelscope",
    "huggingface": "huggingface",
    "hf": "huggingface",
}
# What is left of a key of 100 characters, with a dash and the digest behind it.
_READABLE = 91


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One model on a hub.

    + revision: commit, branch or tag; None for the branch that the hub shows
    + pattern: which of several variants in one repository (planning/checkpoint/files.py)
    """

    hub: Hub
    repository: str
    revision: str | None = None
    pattern: str | None = None

    @property
    def name(self) -> str:
        """The repository without its owner."""
        return self.repository.partition("/")[2]

    @property
    def key(self) -> str:
        """What a Model of this reference is called: readable, with a digest of the whole text."""
        text = f"{self.name}-{self.pattern}" if self.pattern else self.name
        readable = re.sub(r"[^a-z0-9._]+", "-", text.lower()).strip("._-")[:_READABLE]
        return f"{readable}-{hashlib.sha256(str(self).encode()).hexdigest()[:8]}"

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        pattern = f":{self.pattern}" if self.pattern else ""
        return f"{self.hub}:{self.repository}{revision}{pattern}"


def is_reference(model: object) -> bool:
    """Return whether this is meant as the name of a model on a hub."""
    return isinstance(model, str) and (":" in model or "/" in model)


def reference(text: str) -> Reference:
    """Return what the text names; raise Refusal if it is not written as such a name."""
    found = _REFERENCE.fullmatch(text)
    if found is None or not text.isprintable() or ".." in (found["revision"] or ""):
        raise Refusal(f"{text!r} is not the name of a model on a hub", _hint(text))
    hub: Hub = _SHORT[found["hub"]]
    return Reference(
        hub=hub,
        repository=found["repository"],
        revision=found["revision"],
        pattern=found["pattern"],
    )


def _hint(text: str) -> str:
    form = "modelscope:OWNER/NAME or huggingface:OWNER/NAME, then @REVISION and :PATTERN if needed"
    if re.fullmatch(rf"{_NAME}/{_NAME}", text):
        return f"Write modelscope:{text} or huggingface:{text}"
    hub, _, rest = text.partition(":")
    meant = f"{_SHORT.get(hub.lower(), hub)}:{rest}"
    if meant != text and _REFERENCE.fullmatch(meant):
        return f"Write {meant}"
    before, _, revision = text.partition("@")
    named, _, pattern = before.rpartition(":")
    turned = f"{named}@{revision}:{pattern}"
    if _REFERENCE.fullmatch(turned):
        return f"Write {turned}, as the revision comes first"
    return f"Write {form}"
