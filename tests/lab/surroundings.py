"""What a machine must know of the network it stands in: names, certificates, index settings.

Taken from the host where the host has it, so that apt, pip and uv inside a machine reach the
registries by the same way as outside. Nothing is assumed about what that way is, and nothing else
of the host's is taken: what is installed here while tests run must not be seen in a machine.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from deploys.control.image import apt
from tests.lab import registry_files

VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_NO_INDEX",
    "PIP_CERT",
    "PIP_PROXY",
    "PIP_TRUSTED_HOST",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_NO_INDEX",
    "UV_INSECURE_HOST",
    "UV_HTTP_TIMEOUT",
    "UV_NATIVE_TLS",
    "UV_SYSTEM_CERTS",
    "UV_INDEX_STRATEGY",
)

PIP = ("/etc/pip.conf", "/etc/xdg/pip/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf")
UV = ("/etc/uv/uv.toml", "~/.config/uv/uv.toml")
NETRC = "~/.netrc"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# Certificates that were added to the distribution's, and apt's logins.
FOLDERS = ("/usr/local/share/ca-certificates", "/etc/apt/auth.conf.d")

# Descriptions in other languages are of no use to anybody here, and a third of what apt fetches.
APT = """\
// Of the host's settings those that reach the archives, and the lab's own.
Acquire::Languages "none";
"""


def variables() -> dict[str, str]:
    """The environment that a machine shares with the host."""
    chosen = {name: os.environ[name] for name in VARIABLES if os.environ.get(name)}
    if "PIP_FIND_LINKS" in chosen:
        chosen.setdefault("UV_FIND_LINKS", chosen["PIP_FIND_LINKS"])
    return chosen


def folders_to_bind() -> list[Path]:
    """Local folders of wheels that the index settings name; machines see them read-only."""
    named = " ".join(variables().get(name, "") for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"))
    paths = {Path(word) for word in named.replace(",", " ").split() if word.startswith("/")}
    return sorted(path for path in paths if path.is_dir())


def copy_into(tree: Path, host: Path = Path("/"), *, closed: bool = False) -> None:
    """Write the host's ways to the registries into a machine's tree.

    + closed: the machine has no way out; all it learns is which dates to believe
    """
    options, shared, texts = apt.settings(), variables(), []
    if closed:
        options, shared = [option for option in options if "::Check-" in option], {}
    else:
        _copy(host / CERTIFICATES[1:], tree / CERTIFICATES[1:])
        texts = _copy_settings(tree, host, shared)
    _write(tree / "etc/apt/apt.conf.d/90lab", APT + "".join(f"{line};\n" for line in options))
    _copy_resolv_conf(tree / "etc/resolv.conf")
    # Certificates and keys that the settings name; a variable may hold nothing else.
    words = [*shared.values(), *" ".join([*options, *texts]).replace('"', " ").split()]
    for word in words:
        if word.startswith("/") and (host / word[1:]).is_file():
            _copy(host / word[1:], tree / word[1:])
    # Logins read /etc/environment, units get theirs from the service manager.
    lines = [f"{name}={value}" for name, value in sorted(shared.items())]
    (tree / "etc/environment").write_text("".join(f"{line}\n" for line in lines))
    quoted = " ".join('"{}"'.format(line.replace("%", "%%")) for line in lines)
    manager = tree / "etc/systemd/system.conf.d/lab.conf"
    _write(manager, f"[Manager]\nDefaultEnvironment={quoted}\n")


def _copy_settings(tree: Path, host: Path, shared: dict[str, str]) -> list[str]:
    """Write what files tell pip, uv and apt, logins included; return what pip and uv are told."""
    texts = []
    for names, reduced in ((PIP, registry_files.pip), (UV, registry_files.uv)):
        for name in names:
            source = _on(host, name)
            if source.is_file() and (text := reduced(source)):
                _write(_on(tree, name, home="root"), text)
                texts.append(text)
    login, named = _on(host, NETRC), "\n".join([*shared.values(), *texts])
    if login.is_file() and (text := registry_files.netrc(login, named)):
        _write(_on(tree, NETRC, home="root"), text, mode=0o600)
    for name in FOLDERS:
        for path in sorted((host / name[1:]).glob("*")):
            _copy(path, tree / name[1:] / path.name)
    return texts


def _on(root: Path, name: str, home: str | None = None) -> Path:
    """Where a file lies below `root`; "~" is this user's home, or `home`."""
    where = str(Path.home()).lstrip("/") if home is None else home
    return root / name.replace("~", where, 1).lstrip("/")


def _write(target: Path, text: str, mode: int = 0o644) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.touch(mode)
    target.write_text(text)


def _copy(source: Path, target: Path) -> None:
    if not source.is_file():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copy(source, target)


def _copy_resolv_conf(target: Path) -> None:
    source = Path("/etc/resolv.conf")
    # A resolver on the host's loopback cannot be asked from a machine; its upstreams can.
    upstream = Path("/run/systemd/resolve/resolv.conf")
    if "nameserver 127." in source.read_text() and upstream.is_file():
        source = upstream
    _copy(source, target)
