"""All tiers at once: who prints when, what a failure does, and that all of them end with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit import ROOT
from tests.unit.project.test_temporary import until

# The tiers of these runs, by name: what each does, and whether it is one with machines.
RUN = """
import sys
from pathlib import Path
from tests import __main__ as tiers
tiers.missing = lambda: {missing!r}
tiers.TIERS = tuple(
    tiers.Tier(name, ("python", "-c", program), lab=name in ("lab", "e2e"))
    for name, program in {programs!r}.items()
)
sys.argv[1:] = {wanted!r}
raise SystemExit(tiers.main())
"""
SAYS = "print('said by {}')"
FAILS = "print('said by {}'); raise SystemExit(3)"
# Writes its process id, and waits.
WAITS = "import os, time; open({!r}, 'w').write(str(os.getpid())); time.sleep(600)"


def run(
    programs: dict[str, str], *wanted: str, missing: list[str] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    code = RUN.format(programs=programs, wanted=list(wanted), missing=missing or [])
    known = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [sys.executable, "-c", code],
        **{"cwd": ROOT, "env": {**known, **environment}, "capture_output": True, "text": True},
    )


def test_those_that_only_run_when_they_are_named_run_together() -> None:
    code = (
        "from tests import __main__ as tiers; import sys; tiers.missing = lambda: [];"
        "tiers.TIERS = (tiers.Tier('unit', ('python', '-c', 'print(1)')),"
        " tiers.Tier('vm', ('python', '-c', 'print(2)'), asked=True));"
        "sys.argv[1:] = ['--asked']; raise SystemExit(tiers.main())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "vm       passed" in done.stdout
    assert "unit" not in done.stdout


def program(form: str, name: str) -> dict[str, str]:
    return {name: form.format(name)}


ALL = {**program(SAYS, "lint"), **program(SAYS, "unit"), **program(SAYS, "lab")}


def test_what_runs_beside_machines_is_printed_whole_and_afterwards() -> None:
    done = run({**ALL, **program(SAYS, "e2e")})
    assert done.returncode == 0, done.stdout
    said = [line for line in done.stdout.splitlines() if line.startswith(("said", "--> "))]
    assert [line.partition(": ")[0] for line in said] == [
        "--> beside what follows",
        *("--> lab", "said by lab", "--> e2e", "said by e2e"),
        *("--> lint", "said by lint", "--> unit", "said by unit"),
    ]
    told = done.stdout.splitlines()[-4:]
    assert [line.split()[:2] for line in told] == [
        [name, "passed"] for name in ("lint", "unit", "lab", "e2e")
    ]


def test_a_tier_alone_prints_as_it_goes() -> None:
    done = run(ALL, "unit")
    assert done.returncode == 0
    assert done.stdout.split("\n")[1:3] == [f"--> unit: python -c {ALL['unit']}", "said by unit"]
    assert "beside" not in done.stdout


@pytest.mark.parametrize("name", ["unit", "lab"])
def test_one_that_fails_is_named_and_fails_the_run(name: str) -> None:
    done = run({**ALL, **program(FAILS, name)})
    assert done.returncode == 1
    told = dict(line.split()[:2] for line in done.stdout.splitlines()[-3:])
    assert told == {**dict.fromkeys(ALL, "passed"), name: "failed"}
    assert f"said by {name}" in done.stdout


@pytest.mark.parametrize(("environment", "code"), [({}, 0), ({"CI": "true"}, 1)])
def test_one_that_cannot_run_is_named(environment: dict[str, str], code: int) -> None:
    done = run(ALL, missing=["not root", "no nft"], **environment)
    assert done.returncode == code
    assert done.stdout.splitlines()[-1] == "lab      not run: not root; no nft"
    assert "said by unit" in done.stdout and "said by lab" not in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_that_run_end_with_us(number: int, tmp_path: Path) -> None:
    notes = {name: tmp_path / name for name in ("unit", "lab", "e2e")}
    programs = {name: WAITS.format(str(path)) for name, path in notes.items()}
    process = subprocess.Popen(
        # Whoever runs these tests in the background has a shell that ignores SIGINT for them.
        [
            *("env", "--default-signal", sys.executable, "-c"),
            RUN.format(programs=programs, wanted=[], missing=[]),
        ],
        **{"cwd": ROOT, "env": {**os.environ, "TMPDIR": str(tmp_path)}},
        **{"stdout": subprocess.PIPE, "text": True, "start_new_session": True},
    )
    for name in ("unit", "lab"):
        until(lambda path=notes[name]: path.exists() and path.read_text())
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    for name in ("unit", "lab"):
        assert not Path("/proc", notes[name].read_text()).exists()
    # What was not begun was not begun any more, and what they said is gone.
    assert {path.name for path in tmp_path.iterdir()} == {"unit", "lab"}
