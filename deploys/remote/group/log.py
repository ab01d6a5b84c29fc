"""What a node says: lines for the journal, and its state for systemd."""

from __future__ import annotations

import os
import socket
import time

# Seconds until the same is said again, and how many different things are remembered: whoever knocks
# at the port must not fill the journal.
_AGAIN, _REMEMBERED = 60.0, 64

_last: dict[str, float] = {}


def say(text: str) -> None:
    """Write one line; what others have sent cannot begin another."""
    print(f"group: {' '.join(text.split())}", flush=True)


def say_at_times(text: str, about: str | None = None) -> None:
    """Write a line unless it, or one about the same, was written within the last minute."""
    now, key = time.monotonic(), about or text
    if now - _last.get(key, -_AGAIN) < _AGAIN:
        return
    if len(_last) >= _REMEMBERED:
        del _last[min(_last, key=lambda each: _last[each])]
    _last[key] = now
    say(text)


def forget(about: str) -> None:
    """Have the next line about this written at once."""
    _last.pop(about, None)


def tell_systemd(*words: str) -> None:
    """Send words such as STATUS=... to systemd, where it has asked for them."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
        try:
            connection.connect("\0" + address[1:] if address.startswith("@") else address)
            connection.send("\n".join(words).encode())
        except OSError:
            pass  # A state that is not shown is no reason to end a group.
