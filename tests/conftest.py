"""What every test has: whatever it makes goes with it, also when it is interrupted."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests import temporary


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before pytest chooses where `tmp_path` is: its own choice stays for the next three runs."""
    temporary.end_in_order()
    # Named by whoever wants to look at it afterwards, and to workers by who has started them.
    if config.option.basetemp is None:
        stack = ExitStack()
        folder = stack.enter_context(temporary.folder("modelrack-tests-"))
        config.option.basetemp = str(folder / "of")
        config.add_cleanup(stack.close)
