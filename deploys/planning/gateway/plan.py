"""The plan of the gateway of one machine, as types."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from deploys.planning import unit_names
from deploys.planning.gateway.key import RESERVED, Key
from deploys.planning.inputs.gateway import Acme, Certificate, Chat
from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.models.shapes import Task
from deploys.planning.monitoring.plan import ScrapeTarget, WatchedMachine

# Ports of every gateway: for people, for other machines of the site, and for the operator.
REDIRECT, HTTPS, MACHINES, METRICS = 80, 443, 8443, 8405
# Where the chat page asks for models. Engines listen on 127.0.0.1 alone, so whoever reaches only
# this address of the machine's own reaches none of them; and no certificate has to name it.
CHAT_ADDRESS, CHAT_PORT = "127.0.0.2", 8406

FOLDER = "/etc/modelrack/gateway"
# Who its process runs as, and whose group may read its folder.
USER = unit_names.GATEWAY_JOURNAL
# The public half of what signs this site's certificates.
SITE_CA = f"{FOLDER}/site-ca.pem"
# For clients, by whomever it is signed, and for other machines, by the site's CA; both with a key.
CERTIFICATE, MACHINE_CERTIFICATE = f"{FOLDER}/gateway.pem", f"{FOLDER}/machine.pem"
# The key of the machine's account at an ACME authority, made on the machine, 0600, of root; and its
# thumbprint, with which the gateway proves that a name is this machine's.
ACME_KEY, ACME_MAP = "/etc/modelrack/secrets/acme.key", f"{FOLDER}/acme.map"
# The chat page's own key, made on the machine: OPENAI_API_KEY=mr-..., 0600, of root.
CHAT_KEY = "/etc/modelrack/secrets/webui-key.env"
# What the gateway knows it by.
CHAT_MAP = f"{FOLDER}/chat.map"
# Whose requests those of the chat page are, in limits and in the log.
CHAT_USER, CHAT_TEAM = RESERVED, "chat page"


@dataclass(frozen=True, kw_only=True)
class BackendServer:
    """One copy of a model that the gateway passes requests to.

    + name: of its machine in the inventory, as the gateway's log and metrics write it
    + address, port: the engine's own on this machine, or the gateway of another
    + machine: that other machine's name in the inventory, and in its certificate; None: this one
    + parallel: requests it takes at the same time; None: its own gateway counts
    + drained: it gets no new requests
    """

    name: str
    address: str
    port: int
    machine: str | None = None
    parallel: int | None = None
    drained: bool = False


@dataclass(frozen=True, kw_only=True)
class Backend:
    """One model by the name that clients say, with all copies of it.

    + service: that name
    + served: the id that its engine reports
    + task: what it is asked
    + model, context: what it is, where this machine serves it
    + adapters: further names that clients say, its LoRA adapters
    """

    service: str
    served: str
    model: str
    servers: tuple[BackendServer, ...]
    task: Task = "generate"
    context: int | None = None
    adapters: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """All names that clients say to be answered by it."""
        return (self.service, *self.adapters)

    @property
    def local(self) -> tuple[BackendServer, ...]:
        """The copies on this machine, which alone other machines are given."""
        return tuple(server for server in self.servers if server.machine is None)


@dataclass(frozen=True, kw_only=True)
class MachinePeer:
    """Another machine whose gateway asks this one; its address is None where it is not known.

    + asks: for answers of models
    + watches: for metrics
    """

    name: str
    address: str | None
    asks: bool = True
    watches: bool = False


@dataclass(frozen=True, kw_only=True)
class GatewayPlan:
    """The gateway of one machine.

    + name: of this machine in the inventory, which its certificate for other machines has
    + host: what clients type; None: only other machines ask here, on MACHINES, and no client
    + names: DNS names and IP addresses that the site's CA signs
    + certificate: the operator's own instead, or one that is asked for by ACME
    + keys: who may ask, by the SHA-256 of their keys
    + rate, at_once: limits of those whose key says nothing else
    + backends: what is served, sorted by name
    + peers: machines that ask here
    + targets: what those of them that watch are given
    + machines: those that this one watches
    + monitoring: what its page shows, and to whom; None: there is no page here
    + ipv6: the machine is reached over IPv6, too
    + vouches: this is a unit of an appliance, which has made its certificate for clients by itself
    """

    name: str
    host: str | None
    names: tuple[str, ...] = ()
    certificate: Certificate | Acme | None = None
    keys: tuple[Key, ...] = ()
    rate: int = 60
    at_once: int = 8
    backends: tuple[Backend, ...] = ()
    peers: tuple[MachinePeer, ...] = ()
    targets: tuple[ScrapeTarget, ...] = ()
    machines: tuple[WatchedMachine, ...] = ()
    monitoring: Monitoring | None = None
    chat: Chat | None = None
    ipv6: bool = False
    vouches: bool = False

    @property
    def own(self) -> Certificate | None:
        """The operator's own certificate."""
        return self.certificate if isinstance(self.certificate, Certificate) else None

    @property
    def acme(self) -> Acme | None:
        """How a certificate is asked for by ACME; its directory is named."""
        return self.certificate if isinstance(self.certificate, Acme) else None

    @property
    def between_machines(self) -> bool:
        """Whether it needs a certificate for other machines: they ask it, or it asks them."""
        asked = [server for backend in self.backends for server in backend.servers]
        return bool(self.peers or self.machines) or any(server.machine for server in asked)

    def to_json(self) -> dict[str, Any]:
        """Return the plan without who may ask, and without the operator's own files."""
        plan = asdict(self)
        del plan["keys"], plan["monitoring"]
        others = "the unit's" if self.vouches else "the site's"
        plan["certificate"] = (
            self.acme.directory if self.acme else "the operator's" if self.own else others
        )
        return plan
