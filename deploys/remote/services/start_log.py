"""What an engine has written into its log while it started, and tells no client."""

from __future__ import annotations

import ast
import re
import subprocess

# Source: vLLM 0.32, config/model.py, get_diff_sampling_param; SGLang 0.5.23, serving_chat.py.
_SAMPLING = re.compile(
    r"(?:sampling parameters have been overridden|default chat sampling params)[^{]*(\{[^}]*\})"
)
# Lines of a start. A server that has run for long has written many more since.
_MOST = 20_000


def sampling(unit: str) -> dict[str, float] | None:
    """Return how the running engine draws answers that say nothing; None if its log has no word.

    By the names of generation_config.json.
    """
    shown = subprocess.run(
        ["systemctl", "show", "--value", "--property=InvocationID", "--", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    life = shown.stdout.strip()
    if not life:
        return None
    command = ["journalctl", "--quiet", "--no-pager", "--output=cat"]
    with subprocess.Popen(
        [*command, f"_SYSTEMD_INVOCATION_ID={life}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        errors="replace",
    ) as journal:
        assert journal.stdout
        try:
            for _, line in zip(range(_MOST), journal.stdout, strict=False):
                found = _SAMPLING.search(line)
                if found:
                    return _numbers(found[1])
        finally:
            journal.kill()
    return None


def _numbers(text: str) -> dict[str, float] | None:
    try:
        told = ast.literal_eval(text)
        return {name: float(value) for name, value in told.items()}
    except (ValueError, SyntaxError, TypeError):
        return None
