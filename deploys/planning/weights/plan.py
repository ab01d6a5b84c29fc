"""The weights of one machine's plan, as types: where they come from, lie, and are shared."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlunsplit

from deploys.planning.addresses import in_url
from deploys.planning.inputs.locks import ListedFile
from deploys.planning.inputs.site import Hub


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """One repository that a model's files can be fetched from.

    + token_file: file on the machine with the access token of this hub; None if it needs none
    """

    kind: Hub
    endpoint: str
    repository: str
    revision: str
    token_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class PeerServer:
    """The server on which this machine shares its weights with the other machines of the site.

    + address, port: where it listens
    + network: which clients are allowed
    + folder: directory with the shared files, by sha256
    """

    address: str
    port: int
    network: str
    folder: str

    @property
    def url(self) -> str:
        return peer_url(self.address, self.port)


def peer_url(address: str, port: int) -> str:
    """Return the URL at which the machine with this address shares its weights."""
    return urlunsplit(("http", f"{in_url(address)}:{port}", "", "", ""))


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One model on the machine's disk.

    + files: what is fetched; empty while no lock names them
    + size: bytes that are fetched
    + folders: where the files may lie on the machine already, read before any source is asked
    + server: folder of the site's web server that has the files, asked before any hub
    + merge: file name that a split GGUF becomes, None to keep files as they are listed
    + opened: path of the GGUF that an engine opens, the other shards follow from its name; None of
      safetensors, and while no lock names files
    + projector: path of the GGUF that lets it see images; None where there is none
    + peers: machines that have the same model or are to have it, as peer_url says
    + quantization: what safetensors are said to be, and are checked against; None for a GGUF
    """

    model: str
    directory: str
    sources: tuple[HubSource, ...]
    files: tuple[ListedFile, ...]
    size: int
    merge: str | None
    opened: str | None = None
    projector: str | None = None
    quantization: str | None = None
    folders: tuple[str, ...] = ()
    server: str | None = None
    peers: tuple[str, ...] = ()

    @property
    def locked(self) -> bool:
        return bool(self.files)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the weights themselves lie, once they are there."""
        if self.merge:
            return tuple(
                f"{self.directory}/{path}" for path in (self.merge, self.projector) if path
            )
        return tuple(
            f"{self.directory}/{file.path}"
            for file in self.files
            if file.path.lower().endswith((".gguf", ".safetensors"))
        )

    @property
    def entry(self) -> str | None:
        """Where the file lies that an engine opens."""
        if self.merge:
            return f"{self.directory}/{self.merge}"
        return f"{self.directory}/{self.opened}" if self.opened else None

    @property
    def projector_path(self) -> str | None:
        """Where the file lies that lets the model see images."""
        return f"{self.directory}/{self.projector}" if self.projector else None
