"""What is read against its checksum: Python environments, packages, builds."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from deploys.remote.lifecycle import deep, look


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """As uv makes one: two files of a distribution, and a record of them."""
    packages = tmp_path / "lib/python3.12/site-packages"
    (packages / "Some_Thing-1.2.dist-info").mkdir(parents=True)
    (packages / "some.py").write_text("print()\n")
    (packages / "__pycache__").mkdir()
    (packages / "__pycache__/some.cpython-312.pyc").write_bytes(b"compiled")
    record = packages / "Some_Thing-1.2.dist-info" / "RECORD"
    # PEP 376: sha256 in URL-safe base64 without padding. Of "print()\n".
    record.write_text(
        "some.py,sha256=2FlPoSaOyrxir3yeJEm4xG2w9CbNmq04TGfv5Z5YKz4,8\n"
        "Some_Thing-1.2.dist-info/RECORD,,\n"
        # A wheel that brings what Python then compiles anew.
        "__pycache__/some.cpython-312.pyc,sha256=AAAA,8\n"
    )
    (record.parent / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: Some_Thing\nVersion: 1.2\n\nName: of the description\n"
    )
    return tmp_path


def test_an_environment_is_as_it_was_installed_or_is_named(environment: Path) -> None:
    file = environment / "lib/python3.12/site-packages/some.py"
    assert deep.distributions(environment) == {"some-thing": "1.2"}
    assert list(deep.environment(environment)) == []
    file.write_text("print(1)\n")
    assert list(deep.environment(environment)) == [f"{file} is not what was installed"]
    file.unlink()
    assert list(deep.environment(environment)) == [f"{file} is missing"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("??5?????? /usr/sbin/nft", ["/usr/sbin/nft is not what its package brought"]),
        ("??5?????? c /etc/ssh/sshd_config", []),
        ("missing     /usr/bin/curl", ["/usr/bin/curl is missing, which a package brought"]),
        ("missing   c /etc/nginx/nginx.conf", []),
        ("missing     /usr/share/doc/curl/copyright", []),
        (
            "missing     /usr/bin/x (Permission denied)",
            ["/usr/bin/x is missing, which a package brought"],
        ),
        ("S.5....T.    /usr/sbin/nft", ["/usr/sbin/nft is not what its package brought"]),
        (".M.......    /usr/sbin/nft", []),
    ],
)
def test_what_dpkg_and_rpm_say_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: list[str]
) -> None:
    dpkg = tmp_path / "dpkg"
    dpkg.write_text(f"#!/bin/sh\necho '{line}'\n")
    dpkg.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/nonexistent")
    assert list(deep.packages()) == said


def test_a_tree_is_hashed_without_its_links(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/a").write_text("a")
    (tmp_path / "bin/b").symlink_to("a")
    assert deep.tree(tmp_path) == {"bin/a": hashlib.sha256(b"a").hexdigest()}


def test_addresses_are_read_as_the_kernel_writes_them() -> None:
    assert os.sys.byteorder == "little"
    assert look._address("0100007F") == "127.0.0.1"
    assert look._address("00000000000000000000000001000000") == "::1"
