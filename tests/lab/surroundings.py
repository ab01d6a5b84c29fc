"""What a machine must know of the network it stands in: names, certificates, index settings.

Copied from the host where the host has it, so that apt, pip and uv inside a machine reach the
registries by the same way as outside. Nothing is assumed about what that way is.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

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

FILES = (
    "/etc/pip.conf",
    "/etc/xdg/pip/pip.conf",
    "/etc/uv/uv.toml",
    "/etc/apt/apt.conf",
    "/etc/ssl/certs/ca-certificates.crt",
)
HOME_FILES = (".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml", ".netrc")
FOLDERS = ("/usr/local/share/ca-certificates", "/etc/apt/auth.conf.d")


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


def copy_into(tree: Path) -> None:
    """Write the host's ways to the registries into a machine's tree."""
    for name in FILES:
        _copy(Path(name), tree / name[1:])
    for name in HOME_FILES:
        _copy(Path.home() / name, tree / "root" / name)
    for name in FOLDERS:
        for path in Path(name).glob("*") if Path(name).is_dir() else ():
            _copy(path, tree / str(path)[1:])
    for path in Path("/etc/apt/apt.conf.d").glob("*"):
        if path.is_file() and "Acquire::" in path.read_text(errors="replace"):
            _copy(path, tree / str(path)[1:])
    _copy_resolv_conf(tree / "etc/resolv.conf")
    shared = variables()
    for value in shared.values():
        if value.startswith("/") and Path(value).is_file():
            _copy(Path(value), tree / value[1:])
    # Logins read /etc/environment, units get theirs from the service manager.
    lines = [f"{name}={value}" for name, value in sorted(shared.items())]
    (tree / "etc/environment").write_text("".join(f"{line}\n" for line in lines))
    manager = tree / "etc/systemd/system.conf.d/lab.conf"
    manager.parent.mkdir(parents=True, exist_ok=True)
    quoted = " ".join('"{}"'.format(line.replace("%", "%%")) for line in lines)
    manager.write_text(f"[Manager]\nDefaultEnvironment={quoted}\n")


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
