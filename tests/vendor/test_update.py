"""An appliance that updates itself from a disk, without a network, and goes back to what served.

The tests are one story: each begins with what the one before it has left.
"""

from __future__ import annotations

import pytest

from tests.e2e.vendor import Line
from tests.e2e.versions import CRASHES, Versions, first_of


def test_programs_that_were_compiled_once_are_in_a_bundle(line: Line) -> None:
    """Another machine compiles them, or has them of an earlier run."""
    done = line.rack.deploy("--json")
    assert done.code == 0, done.output


@pytest.fixture(scope="module")
def versions(line: Line) -> Versions:
    return first_of(line.rack)


def test_an_appliance_deploys_itself_from_its_disk_alone(line: Line) -> None:
    line.make()
    program = f"{line.disk}/appliance/modelrack.pyz"
    nobody = line.update(program)
    assert nobody.code == 1 and "there is no /etc/modelrack/signers" in nobody.stderr
    line.appliance.ssh("mkdir -p /etc/modelrack")
    line.appliance.ssh("cat > /etc/modelrack/signers", stdin=line.signers.read_text())
    done = line.update(program)
    assert done.code == 0, done.output
    line.served_by()
    assert "counter packets 0 bytes 0" in line.elsewhere(line.appliance)


def test_an_appliance_takes_another_version_from_its_disk(line: Line, versions: Versions) -> None:
    two = versions.pin("two")
    line.make()
    done = line.update()
    assert done.code == 0, done.output
    assert line.served_by() == two


def test_what_does_not_serve_is_taken_back(line: Line, versions: Versions) -> None:
    before = line.served_by()
    broken = versions.pin("three", CRASHES)
    line.make()
    failed = line.update()
    assert failed.code == 1
    assert f"does not serve as planned with llama.cpp {broken}" in failed.output
    assert f"answers, as before the update, with llama.cpp {before}" in failed.output
    assert line.served_by() == before


def test_what_nobody_has_signed_is_not_taken(line: Line) -> None:
    tar = line.disk / "appliance/tiny/modelrack.tar"
    content = tar.read_bytes()
    tar.unlink()  # It is one file with that of the bundle.
    tar.write_bytes(content[:-1] + b"x")
    refused = line.update()
    assert refused.code == 1
    assert "appliance/tiny/modelrack.tar is not what was signed" in refused.output
