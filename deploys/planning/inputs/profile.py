"""The desired state of a host class: HostProfile and its services."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from deploys.planning.adapters.adapter import Adapter
from deploys.planning.checkpoint.reference import is_reference, reference
from deploys.planning.engines.base import Engine
from deploys.planning.engines.registry import ENGINES
from deploys.planning.hardware.gpus import Accelerator
from deploys.planning.inputs.gateway import Gateway
from deploys.planning.inputs.monitoring import Monitoring
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.inputs.renamed import renamed
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Task

KvCache = Literal["auto", "fp8", "q8_0"]
Performance = Literal["balanced", "latency", "throughput"]

# systemd instance name, file name and served model name at once, so the strictest of the three.
_SERVICE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")


# What can be said of drawing answers, from and to where.
SAMPLING: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0.01, 1),
    "top_k": (1, 100_000),
    "min_p": (0, 1),
    "repetition_penalty": (0.5, 2),
    "presence_penalty": (-2, 2),
}


@renamed(floor="min_tokens_per_second", gpu_share="gpu_memory_utilization", copy="allow_copy")
@dataclass(frozen=True, kw_only=True)
class Service:
    """One model served by one engine on one port.

    A field that the engine would ignore is refused while planning; its record says which.

    + name: instance name of the unit and id that the API reports
    + engine: which one serves it, by its name in planning/engines/registry.py
    + model: a key of the catalogue, a name on a hub such as "modelscope:Qwen/Qwen3-8B"
      (planning/checkpoint/reference.py), or a Model of your own
    + port: TCP port on the loopback address
    + task: "generate" for answers, "embed" for vectors of texts, "rerank" for how well texts fit a
      question; None goes by the network
    + machines: how many serve it together, of each so many of its class in the inventory, in their
      order; the first of them answers
    + context: tokens one request may use, prompt and answer together; None leaves it to the plan
    + parallel: requests served at the same time; None leaves it to the plan
    + tensor_parallel: GPUs that each layer of a replica is split over; None leaves it to the plan
    + pipeline_parallel: pipeline stages of a replica; None leaves it to the plan
    + replicas: copies of the model side by side; None leaves it to the plan
    + kv_cache: data type of the KV cache; "auto" is the model's own type
    + performance: "latency" for the shortest response times with few users, "throughput" for the
      most tokens with many, "balanced" for the engine's own defaults
    + gpu_memory_utilization: share of each GPU's memory that the engine may take, 0 to 1; None
      leaves it to the plan
    + gpu_layers: layers that llama.cpp keeps on the GPUs; None leaves it to the plan
    + cpu_experts: layers whose experts llama.cpp keeps in host memory; None leaves it to the plan
    + min_tokens_per_second: what a single request must reach, of tokens that are written or, where
      none are, read: less is a warning, less than a third of it a failure; None leaves it to the
      plan
    + reasoning_parser, tool_parser: the engine's names of what reads thoughts and calls of tools;
      "none" leaves them in the answer, None goes by the network (planning/models/parsers.py)
    + chat_template: file on the operator's computer with a Jinja template that is used instead of
      the model's own, such as Path(__file__).with_name("tools.jinja")
    + sampling: how answers are drawn where a request does not say it, such as {"temperature": 0.6},
      by the names of generation_config.json; what is left out is the model's own
    + options: further settings of the engine, by its own names and for its pinned version, such as
      {"enable-expert-parallel": True}; what the plan counts does not know of them
    + adapters: LoRA adapters by the names that requests give them, each as its hub calls it, such
      as {"legal": "modelscope:OWNER/NAME"} (planning/adapters)
    + merge: True merges a split GGUF into one file, False keeps its shards; None does what the
      engine needs (planning/weights/merge_policy.py)
    + allow_copy: Ollama may keep its own copy of the weights, if its version is not known to accept
      hard links
    """

    name: str
    engine: str
    model: str | Model
    port: int
    task: Task | None = None
    machines: int = 1
    context: int | None = None
    parallel: int | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    replicas: int | None = None
    kv_cache: KvCache = "auto"
    performance: Performance = "balanced"
    gpu_memory_utilization: float | None = None
    gpu_layers: int | None = None
    cpu_experts: int | None = None
    min_tokens_per_second: float | None = None
    reasoning_parser: str | None = None
    tool_parser: str | None = None
    chat_template: Path | None = None
    sampling: Mapping[str, float] | None = None
    options: Mapping[str, Any] | None = None
    adapters: Mapping[str, str | Adapter] | None = None
    merge: bool | None = None
    allow_copy: bool = False

    def __post_init__(self) -> None:
        if not _SERVICE_NAME.fullmatch(self.name):
            raise Refusal(
                f"{self.name!r} cannot name a service",
                "Use lower case letters, digits, dots and dashes, 63 at most",
            )
        if self.engine not in ENGINES:
            raise Refusal(
                f"Service {self.name}: there is no engine {self.engine!r}",
                f"Write one of {', '.join(ENGINES)}",
            )
        if not 1024 <= self.port <= 65535:
            raise Refusal(
                f"Service {self.name}: port {self.port} is outside 1024 to 65535",
                "Services run without privileges, so give it a port in that range",
            )
        for field, value in (
            ("machines", self.machines),
            ("context", self.context),
            ("parallel", self.parallel),
            ("tensor_parallel", self.tensor_parallel),
            ("pipeline_parallel", self.pipeline_parallel),
            ("replicas", self.replicas),
        ):
            if value is not None and value < 1:
                raise Refusal(
                    f"Service {self.name}: {field} is {value}",
                    "Give a number from 1 up, or leave the line out",
                )
        for field, value in (("gpu_layers", self.gpu_layers), ("cpu_experts", self.cpu_experts)):
            if value is not None and value < 0:
                raise Refusal(
                    f"Service {self.name}: {field} is {value}",
                    "Give a number from 0 up, or leave the line out",
                )
        if self.gpu_memory_utilization is not None and not 0 < self.gpu_memory_utilization <= 1:
            raise Refusal(
                f"Service {self.name}: gpu_memory_utilization is {self.gpu_memory_utilization}",
                "Give a share above 0 and up to 1, such as 0.92, or leave the line out",
            )
        if self.min_tokens_per_second is not None and self.min_tokens_per_second <= 0:
            raise Refusal(
                f"Service {self.name}: min_tokens_per_second is {self.min_tokens_per_second}",
                "Give tokens per second above 0, or leave the line out",
            )
        if is_reference(self.model):
            try:
                reference(str(self.model))
            except Refusal as refusal:
                raise Refusal(f"Service {self.name}: {refusal.reason}", refusal.hint) from None
        _check_sampling(self.name, self.sampling or {})
        _check_adapters(self.name, self.adapters or {})
        for field, word, words in (
            ("task", self.task or "generate", get_args(Task)),
            ("kv_cache", self.kv_cache, get_args(KvCache)),
            ("performance", self.performance, get_args(Performance)),
        ):
            if word not in words:
                raise Refusal(
                    f"Service {self.name}: there is no {field} {word!r}",
                    f"Write one of {', '.join(words)}",
                )


@renamed(busy_gpus="allow_busy_gpus")
@dataclass(frozen=True, kw_only=True)
class HostProfile:
    """The hardware and the services that every machine of one host class has.

    + gpu: name of the accelerator in the hardware table (planning/hardware/gpus.py), or an
      Accelerator that describes one which is not in it; None for CPU only
    + gpus: how many of them each machine has
    + services: what the machine serves
    + gateway: how a team reaches that; None: from the machine itself alone
    + monitoring: what watches it, and whom that tells; None: nothing does
    + driver: version of the GPU driver to install, such as "580.178.04"; None leaves it to the plan
    + reboot: the machine may be rebooted if a driver has to be replaced
    + allow_busy_gpus: continue even if processes that are not ours use the GPUs
    + locked: refuse models that are not pinned yet, instead of pinning them on first use
    """

    gpu: str | Accelerator | None = None
    gpus: int = 0
    services: tuple[Service, ...] = ()
    gateway: Gateway | None = None
    monitoring: Monitoring | None = None
    driver: str | None = None
    reboot: bool = True
    allow_busy_gpus: bool = False
    locked: bool = False

    def __post_init__(self) -> None:
        if (self.gpu is None) != (self.gpus == 0) or self.gpus < 0:
            raise Refusal(
                f"A profile with gpu={self.gpu!r} and gpus={self.gpus} describes no machine",
                "Name the GPU and how many there are, or leave both out for a CPU machine",
            )
        ports: dict[int, Service] = {}
        names: set[str] = set()
        for service in self.services:
            if service.name in names:
                raise Refusal(
                    f"Two services are called {service.name}", "Give one of them another name"
                )
            other = ports.get(service.port, service)
            together = other.engine == service.engine and "port" in ENGINES[other.engine].shared
            if other is not service and not together:
                raise Refusal(
                    f"Services {other.name} and {service.name} both want port {service.port}",
                    f"Give {service.name} another port",
                )
            names.add(service.name)
            ports[service.port] = service
        _check_names(self.services)
        for engine in ENGINES.values():
            of_engine = [service for service in self.services if service.engine == engine.name]
            _check_shared(engine, of_engine)

    def to_json(self) -> dict[str, Any]:
        """Return what `debug-inventory` prints."""
        return asdict(self)


def _check_sampling(service: str, sampling: Mapping[str, float]) -> None:
    """Raise Refusal if the values for drawing answers are none."""
    for name, value in sampling.items():
        if name not in SAMPLING:
            raise Refusal(
                f"Service {service}: there is no sampling {name!r}",
                f"Write one of {', '.join(SAMPLING)}, or take it out of sampling",
            )
        least, most = SAMPLING[name]
        whole = name == "top_k"
        kind = int if whole else int | float
        if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
            number = "whole number" if whole else "number"
            raise Refusal(
                f"Service {service}: {name} in sampling is {value!r}",
                f"Give a {number} from {least:g} to {most:g}",
            )


def _check_adapters(service: str, adapters: Mapping[str, str | Adapter]) -> None:
    """Raise Refusal if a name cannot be one, or does not lead to a hub."""
    for name, adapter in adapters.items():
        if not isinstance(name, str) or not _SERVICE_NAME.fullmatch(name):
            raise Refusal(
                f"Service {service}: {name!r} cannot name one of its adapters",
                "Use lower case letters, digits, dots and dashes, 63 at most",
            )
        if isinstance(adapter, Adapter):
            continue
        try:
            reference(str(adapter))
        except Refusal as refusal:
            raise Refusal(
                f"Service {service}: adapter {name}: {refusal.reason}", refusal.hint
            ) from None


def _check_names(services: Sequence[Service]) -> None:
    """Raise Refusal if a name of an adapter is one of a service, or of another's adapter."""
    owners = {service.name: f"service {service.name}" for service in services}
    for service in services:
        for name in service.adapters or {}:
            if name in owners:
                raise Refusal(
                    f"Service {service.name}: adapter {name} is called like {owners[name]}, and a"
                    " request could not tell them apart",
                    "Give the adapter another name",
                )
            owners[name] = f"an adapter of service {service.name}"


def _check_shared(engine: Engine, services: Sequence[Service]) -> None:
    """Raise Refusal if services differ in a field that the one process of all has only once."""
    for service in services[1:]:
        for field in engine.shared:
            mine, first = getattr(service, field), getattr(services[0], field)
            if mine != first:
                raise Refusal(
                    f"Services {services[0].name} and {service.name} have {field} {first} and"
                    f" {mine}, but one process of {engine.title} serves both",
                    f"Give both the same {field}",
                )
