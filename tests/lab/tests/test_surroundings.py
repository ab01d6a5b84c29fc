"""A machine learns of the host how registries are reached, and nothing else."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import uv

from tests.lab import surroundings
from tests.lab.process import run

# By path on the host: what is there, and what a machine gets of it.
_HOST = {
    "etc/apt/apt.conf": 'Acquire::http::Proxy "http://127.0.0.1:3142"; APT::Get::Assume-Yes "1";\n',
    "etc/apt/apt.conf.d/50appstream": """\
Acquire::IndexTargets::deb::DEP-11::MetaKey "$(COMPONENT)/dep11/Components.yml";
Acquire::Retries "7";
APT::Update::Post-Invoke-Success { "/usr/bin/appstreamcli refresh-cache"; };
""",
    "etc/apt/apt.conf.d/99corporate": """\
Acquire { https { CaInfo "/srv/corporate.pem"; Proxy-Auto-Detect "/usr/bin/find-proxy"; }; };
Acquire::Check-Valid-Until "false";
""",
    "srv/corporate.pem": "authority\n",
    "srv/pip.pem": "authority of pip\n",
    "etc/apt/auth.conf.d/corporate.conf": "machine 127.0.0.1 login a password b\n",
    "usr/local/share/ca-certificates/corporate.crt": "authority\n",
    "etc/pip.conf": """\
[global]
index-url = http://127.0.0.2/simple
no-cache-dir = true
cert = /srv/pip.pem
extra-index-url =
    http://127.0.0.3/simple
    http://127.0.0.4/simple

[install]
user = true
""",
    "root/.config/uv/uv.toml": """\
native-tls = true
cache-dir = "/srv/cache"
python-preference = "only-managed"
index = [{ name = "lab", url = "http://127.0.0.5/simple", default = true }]
[pip]
compile-bytecode = true
find-links = ["/srv/wheels"]
""",
    "root/.netrc": """\
machine 127.0.0.2 login a password b
machine elsewhere.invalid login c password d
default login e password f
""",
    "root/.config/pip/pip.conf": "[global]\nno-cache-dir = true\n",
}
_MACHINE = {
    "etc/apt/apt.conf.d/90lab": """\
// Of the host's settings those that reach the archives, and the lab's own.
Acquire::Languages "none";
Acquire::https::CaInfo "/srv/corporate.pem";
Acquire::Check-Valid-Until "false";
Acquire::http::Proxy "http://127.0.0.1:3142";
""",
    "etc/pip.conf": """\
[global]
index-url = http://127.0.0.2/simple
cert = /srv/pip.pem
extra-index-url = 
\thttp://127.0.0.3/simple
\thttp://127.0.0.4/simple
""",
    "root/.config/uv/uv.toml": """\
index = [{name = "lab", url = "http://127.0.0.5/simple", default = true}]
native-tls = true
[pip]
find-links = ["/srv/wheels"]
""",
    "root/.netrc": "machine 127.0.0.2 login a password b\n",
    "etc/environment": "PIP_DEFAULT_TIMEOUT=7\n",
    "etc/systemd/system.conf.d/lab.conf": '[Manager]\nDefaultEnvironment="PIP_DEFAULT_TIMEOUT=7"\n',
}
_WHOLE = (
    "srv/corporate.pem",
    "srv/pip.pem",
    "etc/apt/auth.conf.d/corporate.conf",
    "usr/local/share/ca-certificates/corporate.crt",
)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer's files, its apt's included, and its environment."""
    root = tmp_path / "host"
    for name, content in _HOST.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    apt = tmp_path / "apt.conf"
    apt.write_text(f'Dir::Etc "{root}/etc/apt";\n')
    for name in surroundings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("APT_CONFIG", str(apt))
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "7")
    return root


def _copied(host: Path, tree: Path, *, closed: bool = False) -> dict[str, str]:
    (tree / "etc").mkdir(parents=True)
    surroundings.copy_into(tree, host, closed=closed)
    files = {str(path.relative_to(tree)): path for path in tree.rglob("*") if path.is_file()}
    del files["etc/resolv.conf"]
    return {name: path.read_text() for name, path in files.items()}


def test_a_machine_gets_what_the_registries_need(host: Path, tmp_path: Path) -> None:
    found = _copied(host, tmp_path / "tree")
    assert found == {**_MACHINE, **{name: _HOST[name] for name in _WHOLE}}
    assert (tmp_path / "tree/root/.netrc").stat().st_mode & 0o777 == 0o600


def test_what_is_installed_on_the_host_meanwhile_is_not_seen(host: Path, tmp_path: Path) -> None:
    before = _copied(host, tmp_path / "before")
    package = host / "etc/apt/apt.conf.d/20packagekit"
    package.write_text('Acquire::GzipIndexes "true";\nDPkg::Post-Invoke { "/usr/bin/gdbus"; };\n')
    assert _copied(host, tmp_path / "after") == before


def test_a_machine_without_a_way_out_learns_which_dates_to_believe(
    host: Path, tmp_path: Path
) -> None:
    found = _copied(host, tmp_path / "tree", closed=True)
    assert found.pop("etc/apt/apt.conf.d/90lab").endswith(
        'Acquire::Languages "none";\nAcquire::Check-Valid-Until "false";\n'
    )
    assert found == {
        "etc/environment": "",
        "etc/systemd/system.conf.d/lab.conf": "[Manager]\nDefaultEnvironment=\n",
    }


def test_pip_and_uv_read_what_is_left(host: Path, tmp_path: Path) -> None:
    _copied(host, tmp_path / "tree")
    python = sys.executable
    environment = {**os.environ, "PIP_CONFIG_FILE": str(tmp_path / "tree/etc/pip.conf")}
    said = run([python, "-m", "pip", "config", "list"], env=environment)
    assert "global.index-url='http://127.0.0.2/simple'" in said
    assert r"global.extra-index-url='\nhttp://127.0.0.3/simple\nhttp://127.0.0.4/simple'" in said
    # It refuses a file that it cannot read, or a setting that it does not know.
    settings = tmp_path / "tree/root/.config/uv/uv.toml"
    run([uv.find_uv_bin(), "--config-file", str(settings), "pip", "list", "--python", python])
