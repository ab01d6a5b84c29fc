"""Packages go that we have asked for and nobody else needs; the others are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deploys.remote.facts import packages
from deploys.remote.lib.failure import Failure
from deploys.remote.lifecycle import removed_packages

# What needs what; a package goes with all that need it.
APT = """\
#!/usr/bin/env python3
import json, pathlib, sys
state = pathlib.Path(sys.argv[0]).with_name("state.json")
there = json.loads(state.read_text())
words = [word for word in sys.argv[1:] if not word.startswith(("-", "DPkg", "APT"))]
needs = {"cmake": ["libuv"], "theirs": ["nginx"], "cuda-drivers": ["dkms"]}
if "autoremove" in words:
    free = [name for name, automatic in there.items() if automatic
            and not any(name in needs.get(other, ()) for other in there)]
    print("".join(f"Remv {name} [1]\\n" for name in free))
else:
    going = set(words[1:]) | {each for each in there for name in words[1:]
                              if name in needs.get(each, ())}
    print("".join(f"Purg {name} [1]\\n" for name in sorted(going)))
    if "-s" not in sys.argv:
        state.write_text(json.dumps({n: a for n, a in there.items() if n not in going}))
"""
MARK = """\
#!/usr/bin/env python3
import json, pathlib, sys
there = json.loads(pathlib.Path(sys.argv[0]).with_name("state.json").read_text())
print("".join(f"{name}\\n" for name, automatic in there.items() if automatic))
"""
BEFORE = {"known": True, "packages": ["apt", "orphan"]}
# By name, and whether it only came along.
THERE = {
    "apt": False,
    "orphan": True,
    "cmake": False,
    "libuv": True,
    "nginx": False,
    "theirs": False,
    "cuda-drivers": False,
    "dkms": False,
}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "state.json").write_text(json.dumps(THERE))
    for name, program in (("apt-get", APT), ("apt-mark", MARK)):
        (tmp_path / name).write_text(program)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "packages").write_text("cmake\nnginx\napt\ncuda-drivers\ndkms\nlong-gone\n")
    monkeypatch.setattr(removed_packages, "ASKED", tmp_path / "packages")
    monkeypatch.setattr(packages, "names", lambda: there(tmp_path))
    return tmp_path


def there(folder: Path) -> list[str]:
    return sorted(json.loads((folder / "state.json").read_text()))


def test_what_others_need_stays_and_is_named_and_what_came_along_goes(machine: Path) -> None:
    stays: list[str] = []
    removed_packages.remove(BEFORE, False, stays)
    # An orphan of before is none of ours; the driver needs dkms.
    assert there(machine) == ["apt", "cuda-drivers", "dkms", "nginx", "orphan", "theirs"]
    assert stays == [
        "cuda-drivers stay with the GPU driver: --data driver=true",
        "package dkms stays: cuda-drivers needs it",
        "package nginx stays: theirs needs it",
    ]


def test_the_driver_goes_where_it_is_asked_for(machine: Path) -> None:
    removed_packages.remove(BEFORE, True, [])
    assert there(machine) == ["apt", "nginx", "orphan", "theirs"]


def test_where_nobody_noted_what_was_before_nothing_goes(machine: Path) -> None:
    stays: list[str] = []
    removed_packages.remove({}, True, stays)
    assert there(machine) == sorted(THERE)
    assert "cmake, cuda-drivers, dkms, nginx" in stays[0]


def test_a_package_manager_that_fails_says_what(machine: Path) -> None:
    (machine / "apt-mark").write_text("#!/bin/sh\necho 'dpkg was interrupted' >&2; exit 100\n")
    with pytest.raises(Failure, match="apt-mark showauto failed:\ndpkg was interrupted"):
        removed_packages.remove(BEFORE, False, [])
