"""The site that machines belong to: its mirrors, and where its data is stored.

Every URL that a machine opens comes from `Site.url`; there is no URL anywhere else.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from deploys.planning.inputs.refusal import Refusal

OriginName = Literal[
    "github",
    "ollama",
    "cuda",
    "rocm",
    "modelscope",
    "huggingface",
    "python_builds",
    "pytorch",
    "acme",
]
Hub = Literal["modelscope", "huggingface"]


@dataclass(frozen=True, kw_only=True)
class Mirrors:
    """Base URLs by origin; None means that an origin is not available at this site.

    + weights: folder of a web server with `<model>/<file>`, tried before any hub
    + pytorch: page with the CPU wheels of PyTorch, which the package index does not have; or a
      directory with them that exists on every machine
    + acme: directory of the authority that gateways ask for certificates by ACME

    The package registries are the exception: None for `debian`, `ubuntu` or `pypi` leaves apt and
    uv at their own settings.
    """

    github: str | None
    ollama: str | None
    cuda: str | None
    modelscope: str | None
    huggingface: str | None
    python_builds: str | None
    pytorch: str | None = None
    acme: str | None = None
    rocm: str | None = None
    debian: str | None = None
    debian_security: str | None = None
    ubuntu: str | None = None
    pypi: str | None = None
    weights: str | None = None


GLOBAL = Mirrors(
    github="https://github.com",
    ollama="https://github.com/ollama/ollama/releases/download",
    cuda="https://developer.download.nvidia.com/compute/cuda/repos",
    rocm="https://repo.radeon.com",
    modelscope="https://modelscope.cn",
    huggingface="https://huggingface.co",
    python_builds="https://github.com/astral-sh/python-build-standalone/releases/download",
    pytorch="https://download.pytorch.org/whl/cpu/torch/",
    acme="https://acme-v02.api.letsencrypt.org/directory",
)

# gh-proxy.com prefixes the whole address of what it fetches. No public mirror of AMD's repositories
# was found.
CN = Mirrors(
    github="https://gh-proxy.com/https://github.com",
    ollama="https://gh-proxy.com/https://github.com/ollama/ollama/releases/download",
    cuda="https://developer.download.nvidia.cn/compute/cuda/repos",
    modelscope="https://modelscope.cn",
    huggingface="https://hf-mirror.com",
    python_builds="https://gh-proxy.com/"
    "https://github.com/astral-sh/python-build-standalone/releases/download",
    pytorch="https://mirrors.aliyun.com/pytorch-wheels/cpu/",
    acme="https://acme-v02.api.letsencrypt.org/directory",
    debian="https://mirrors.tuna.tsinghua.edu.cn/debian",
    debian_security="https://mirrors.tuna.tsinghua.edu.cn/debian-security",
    ubuntu="https://mirrors.tuna.tsinghua.edu.cn/ubuntu",
    pypi="https://mirrors.aliyun.com/pypi/simple",
)


@dataclass(frozen=True, kw_only=True)
class BundleMirrors(Mirrors):
    """Those of a bundle, whose archives stay as they were when it was made.

    + disk: folder of every machine that all of it lies in; None where a web server has it
    """

    disk: str | None = None


def BUNDLE(place: str) -> BundleMirrors:
    """Return the mirrors of a site that has nothing but a bundle (deploys/bundle.py).

    + place: address of the web server that has it, as machines reach it, or the folder that each
      machine has it in, such as a disk that is mounted there: /mnt/bundle
    """
    base = place.rstrip("/")
    disk = base if re.fullmatch(r"(/[\w.+-]+)+", base) else None
    if disk:
        base = f"file://{disk}"
    elif not re.fullmatch(r"https?://\S+", base):
        raise Refusal(
            f"A bundle cannot be taken from {place!r}",
            "Write an address such as http://10.0.0.5, or a folder such as /mnt/bundle, without"
            " spaces",
        )
    return BundleMirrors(
        github=f"{base}/github",
        ollama=f"{base}/ollama",
        cuda=f"{base}/cuda",
        rocm=f"{base}/rocm",
        modelscope=None,
        huggingface=None,
        python_builds=f"{base}/python_builds",
        # uv looks for links on a page, and for wheels in a folder.
        pytorch=f"{disk}/pypi/files" if disk else f"{base}/pypi/simple/torch/",
        debian=f"{base}/debian",
        debian_security=f"{base}/debian-security",
        ubuntu=f"{base}/ubuntu",
        pypi=f"{base}/pypi/simple",
        weights=f"{base}/weights",
        disk=disk,
    )


@dataclass(frozen=True, kw_only=True)
class Site:
    """One location with its mirrors, hubs and data directories.

    + mirrors: GLOBAL, CN, BUNDLE(...), or one of them with entries replaced (`dataclasses.replace`)
    + data_root: where weights are stored on every machine
    + folders: directories that may already hold models, such as a USB disk or a network share:
      `<folder>/<model>/` as the hub lists it; tried before any hub or peer
    + hubs: in order of preference
    + locks: directory with the machine-written pins, on the operator's computer
    + builds: directory with packed builds for reuse, on the operator's computer
    + tokens: by hub, the file on the operator's computer that holds its access token, for gated
      repositories
    + apt_lock_wait: seconds to wait while another process holds the package manager's lock
    + peers: network, such as "10.8.0.0/16", whose machines share weights with each other, so that a
      hub sends them only once; None: every machine fetches for itself
    + peer_port: TCP port on which a machine shares them
    + machines: network, such as "10.8.0.0/16", in which gateways ask each other; None: at the
      addresses that the operator reaches them at
    + fabric: network, such as "10.9.0.0/16", in which machines that serve one model together talk;
      None: the same as peers
    + ssh_from: networks that may reach sshd of machines with a gateway; none named: all may
    + bundle: folder on the operator's computer with the bundle that `mirrors` serves: what it lacks
      is refused while planning. A bundle on a machine's disk is looked at there
    + signers: file on the operator's computer with a name and a public key on each line: machines
      update themselves from a bundle that one of them has signed (docs/offline.md)
    + secrets: directory on the operator's computer, for nobody else, with what signs this site's
      certificates
    + restore: folder on the operator's computer with what deploys/backup.py has written: machines
      are given back what they lack of it (docs/lifecycle.md)
    """

    mirrors: Mirrors = GLOBAL
    data_root: str = "/data"
    folders: tuple[str, ...] = ()
    hubs: tuple[Hub, ...] = ("modelscope", "huggingface")
    locks: Path = field(default=Path(__file__).resolve().parents[2] / "locks")
    builds: Path = field(default=Path.home() / ".cache" / "modelrack" / "builds")
    tokens: Mapping[Hub, Path] = field(default_factory=dict)
    apt_lock_wait: int = 600
    peers: str | None = None
    peer_port: int = 8788
    machines: str | None = None
    fabric: str | None = None
    ssh_from: tuple[str, ...] = ()
    bundle: Path | None = None
    signers: Path | None = None
    secrets: Path = field(default=Path.home() / ".config" / "modelrack")
    restore: Path | None = None

    def __post_init__(self) -> None:
        if not self.data_root.startswith("/") or self.data_root == "/":
            raise Refusal(
                f"data_root {self.data_root!r} is not a folder below /",
                "Give an absolute path such as /data",
            )
        for folder in self.folders:
            if not folder.startswith("/"):
                raise Refusal(
                    f"folders of the site have {folder!r}, which does not begin with /",
                    "Give an absolute path such as /mnt/usb",
                )
        if unknown := set(self.tokens) - set(get_args(Hub)):
            raise Refusal(
                f"tokens of the site name {', '.join(sorted(unknown))}, which is not a hub",
                f"Write one of {', '.join(get_args(Hub))}",
            )
        if self.peers is not None:
            _check_network("peers", self.peers)
        if self.machines is not None:
            _check_network("machines", self.machines)
        if self.fabric is not None:
            _check_network("fabric", self.fabric)
        if isinstance(self.ssh_from, str):
            raise Refusal(
                f"ssh_from is the text {self.ssh_from!r}, not networks",
                f'Write ssh_from=("{self.ssh_from}",)',
            )
        for network in self.ssh_from:
            _network("ssh_from", network)
        if not 1024 <= self.peer_port <= 65535:
            raise Refusal(
                f"peer_port {self.peer_port} is outside 1024 to 65535",
                "The weights are served without privileges, so give a port in that range",
            )

    def url(self, origin: OriginName, path: str = "") -> str:
        """Return the URL of `path` at `origin` via this site; raise Refusal if it has none."""
        base: str | None = getattr(self.mirrors, origin)
        if base is None:
            raise Refusal(
                f"This site has no way to {origin}, which {path or 'this machine'} comes from",
                f"Set mirrors.{origin} of the site in inventories/group_data",
            )
        return f"{base.rstrip('/')}/{path.lstrip('/')}" if path else base.rstrip("/")

    @property
    def disk(self) -> str | None:
        """Folder of every machine that all comes from, if that is a bundle on a disk."""
        return self.mirrors.disk if isinstance(self.mirrors, BundleMirrors) else None

    def to_json(self) -> dict[str, Any]:
        """Return what `debug-inventory` prints."""
        return asdict(self)


def _check_network(field: str, value: str) -> None:
    if _network(field, value).prefixlen == 0:
        raise Refusal(
            f"{field} {value} is everybody", "Name the network that the machines of the lab are in"
        )


def _network(field: str, value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(value)
    except ValueError as error:
        raise Refusal(
            f"{field} {value!r} is not a network: {error}", "Write one such as 10.8.0.0/16"
        ) from None
