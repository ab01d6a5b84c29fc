"""The record of an engine: everything that planning has to know of it, in one place.

Each engine is one such record, in the file named for it; registry.py lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from deploys.planning.engines.failures.known import Known
from deploys.planning.engines.filled_cards import FixedShare, Kept, MlaCache, Step
from deploys.planning.engines.quantizations import Quantizations
from deploys.planning.engines.rules import Rule
from deploys.planning.engines.software import FromLock, FromRelease, FromSource
from deploys.planning.models.model import Format
from deploys.planning.models.parsers import Parsers
from deploys.planning.models.shapes import Dialect


@dataclass(frozen=True, kw_only=True)
class SplitGguf:
    """How an engine reads a split GGUF.

    + shards: it opens shards by itself
    + why: a clause that follows "ollama needs a split GGUF as one file: "; "" if it reads shards
    """

    shards: bool
    why: str = ""
    source: str
    date: str


@dataclass(frozen=True, kw_only=True)
class Reads:
    """The weights that an engine reads.

    + formats: those it reads; other: the rule that refuses the others
    + quantizations: those of safetensors; None where it reads none
    + split_gguf: whether shards are merged for it
    """

    formats: tuple[Format, ...]
    other: Rule
    quantizations: Quantizations | None = None
    split_gguf: SplitGguf


@dataclass(frozen=True, kw_only=True)
class FillsCards:
    """An engine that takes a share of every card it is given, and makes the rest of it a cache.

    + share: by default; by FixedShare, or so that what it keeps beside weights and cache is left
    + share_of: what is counted in it
    + steps: by the memory of a card, the largest first
    + doubles_steps: for throughput a step takes twice the tokens
    + unpacks_awq: experts in AWQ are on a card a second time while they are loaded
    + counts_tokens: how often each token was said is kept on the cards, for every request
    + splits_cache: FlashAttention 3 keeps the results of a cache's parts, beside CUDA graphs
    + refines_fp8: blocks of experts in FP8 that do not divide are cut finer
    + mla: how MLA's cache is kept once
    + experts_of_replicas: "shared" where replicas of a model with experts have each expert once
      among them, and "own" where each replica has all
    + cpu_build: it has a build for machines without cards
    """

    share: FixedShare | tuple[Kept, ...]
    share_of: Literal["everything", "weights and cache"]
    steps: tuple[Step, ...]
    doubles_steps: bool
    unpacks_awq: bool
    counts_tokens: bool
    splits_cache: bool
    refines_fp8: bool
    mla: MlaCache
    experts_of_replicas: Literal["own", "shared"]
    cpu_build: bool


@dataclass(frozen=True, kw_only=True)
class DealsLayers:
    """An engine that deals whole layers to cards, and keeps the others in host memory.

    + experts_in_host: all experts are there, and the rest of the model is on one card
    + prompt_cache: it keeps answered prompts in host memory
    + chooses_memory: how it loads what stays in host memory, and to which nodes, can be told
    + steps: tokens that are read at once where experts are in host memory, the preferred first; a
      card that computes with them is sent all of them for each step
    """

    experts_in_host: bool
    prompt_cache: bool
    chooses_memory: bool
    steps: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """How an engine serves LoRA adapters beside a model.

    + format: of their files
    + model_id: what a request names as its model to have one, with the service's name and its own
      filled in; None where every answer of the service has it
    + ranks: that room is made for, the smallest first; () for any
    + without: requests that name none count as one of them
    + patterns: what an adapter adapts may be named by a pattern
    """

    format: Format
    model_id: str | None
    ranks: tuple[int, ...] = ()
    without: bool = False
    patterns: bool = True


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What an engine makes of one field of Service.

    + values: those that it honours beside the field's default; None for all
    + why: a clause that follows "llama.cpp has no tensor_parallel: "
    + hint: what to do then; "" to leave the field out
    """

    values: tuple[object, ...] | None
    why: str = ""
    hint: str = ""


HONOURED = Setting(values=None)


def ignored(why: str, hint: str = "") -> Setting:
    """Return the setting that changes nothing for an engine, and is refused therefore."""
    return Setting(values=(), why=why, hint=hint)


OF_LLAMA_CPP = ignored("that is a setting of llama.cpp")
OF_VLLM_AND_SGLANG = ignored("that is a setting of vLLM and SGLang")
# Source: SGLang 0.5.23, entrypoints/openai/protocol.py, to_sampling_params: generation_config.json
# fills in every value before preferred_sampling_params would.
OF_THE_WEIGHTS = ignored(
    "what a chat request leaves out is taken from generation_config.json of the weights alone",
    "Leave sampling out and have requests say it, or serve the model with vLLM",
)
ONE_COPY = Setting(
    values=(1,), why="one server is one copy", hint="Set replicas to 1, or leave it out"
)
CACHE_IN_FP8 = Setting(
    values=("fp8",),
    why="q8_0 is a cache of llama.cpp",
    hint='Set kv_cache="fp8", which takes as much memory, or leave it out',
)
CACHE_IN_Q8_0 = Setting(
    values=("q8_0",),
    why="its cache has no FP8",
    hint='Set kv_cache="q8_0", which takes as much memory, or leave it out',
)
ONE_PERFORMANCE = ignored(
    "no setting of it depends on that",
    "Leave performance out, and set parallel and context instead",
)
BY_TEMPLATE = ignored("it parses answers by the model's chat template")
NOTHING_TO_MERGE = ignored("shards are merged of a GGUF alone, and it reads safetensors")
NO_RERANKING = Setting(
    values=("generate", "embed"),
    why="it has no endpoint that clients of rerankers read",
    hint="Serve it with llama.cpp or vLLM, or set another task",
)
# Every answer has it, as a request has no name for it there.
ONE_ADAPTER_IN_GGUF = Adapters(format="gguf", model_id=None)
NOTHING_TO_COPY = ignored("it reads the weights as they lie")
ONE_MACHINE = ignored(
    "it serves a model on one machine",
    "Serve the model with vLLM or SGLang, or leave machines out",
)


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What an engine makes of every field of Service that a profile may leave out.

    What one engine alone honours has a refusal as its default here, such as
    `ignored("that is a setting of vLLM")`; the others need not name it.
    """

    task: Setting
    machines: Setting = ONE_MACHINE
    context: Setting
    parallel: Setting
    tensor_parallel: Setting
    pipeline_parallel: Setting
    replicas: Setting
    kv_cache: Setting
    performance: Setting
    gpu_memory_utilization: Setting
    gpu_layers: Setting
    cpu_experts: Setting
    min_tokens_per_second: Setting
    reasoning_parser: Setting
    tool_parser: Setting
    chat_template: Setting
    sampling: Setting
    options: Setting
    adapters: Setting
    merge: Setting
    allow_copy: Setting


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What it says of a service at /metrics, as PromQL; None of what it does not say.

    + running, waiting: requests that are answered, and that wait for it
    + cache: share of the KV cache that is taken, 0 to 1
    + read, written: counters of tokens
    + source: where these names are from
    """

    running: str
    waiting: str
    cache: str | None
    read: str
    written: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine.

    + name: in profiles, and of its folder below /opt/modelrack/engines
    + title: as its makers write it
    + unit: of the service whose name is filled in; one without a place for it serves all models
    + shared: fields of Service that all models of its one process share; () where each service has
      a process of its own
    + model_id: what the API reports, with the service's name filled in
    + software: how it is installed
    + glibc: what its published packages need; None where it is compiled on the machine
    + reads, takes: its weights, and its part of cards and host memory
    + settings: what it makes of the fields of Service
    + settings_without_cards: the same on a machine without GPUs
    + parsers: names of its parsers, by the dialect of a network; None where it parses by the
      model's own chat template
    + plans: options that the plan sets or that would undo it, by their names without dashes, and
      the field of Service to set instead; "" where there is none
    + meeting_ports: TCP ports that it takes where its machines meet, counted from the given one
    + adapters: how it serves LoRA adapters; None where it does not
    + tasks_by_file: what a model is asked is read from its file, whatever a service says
    + metrics: what it says at /metrics; None where it says nothing
    + options_on_command_line: further options are words of its command, not lines of a file
    + rules: what does not work with it, or less well than expected
    + failures: what it prints when it cannot start; EVERY of failures/every.py is added to it
    """

    name: str
    title: str
    unit: str
    shared: tuple[str, ...]
    model_id: str
    software: FromLock | FromSource | FromRelease
    glibc: tuple[int, int] | None
    reads: Reads
    takes: FillsCards | DealsLayers
    settings: ServiceSettings
    settings_without_cards: ServiceSettings
    parsers: Callable[[Dialect | None], Parsers] | None
    plans: Mapping[str, str]
    meeting_ports: tuple[int, ...] = ()
    adapters: Adapters | None = None
    tasks_by_file: bool = False
    metrics: Metrics | None = None
    options_on_command_line: bool = False
    rules: tuple[Rule, ...]
    failures: tuple[Known, ...]

    @property
    def template_unit(self) -> str:
        """Name of the file that its unit, or the unit of each service, is written to."""
        return self.unit.format("")

    @property
    def unit_prefix(self) -> str:
        """What the names of all its units begin with, and those of no other."""
        return self.unit.partition("{")[0]
