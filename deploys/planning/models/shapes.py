"""The shape of a network, shared by all of its weights in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from deploys.planning.inputs.refusal import Refusal

Attention = Literal["mha", "gqa", "mla", "sparse-mla"]
# What is asked of a network: an answer, the vector of a text, or how well texts fit a question.
Task = Literal["generate", "embed", "rerank"]
# How networks write down what they think and which tools they call; parsers.py has who reads it.
# "plain" does neither.
Dialect = Literal[
    "plain",
    "deepseek-r1",
    "deepseek-r1-0528",
    "deepseek-v3",
    "deepseek-v3.1",
    "deepseek-v3.2",
    "deepseek-v4",
    "qwen2.5",
    "qwq",
    "qwen3",
    "qwen3-instruct",
    "qwen3-thinking",
    "qwen3-coder",
    "qwen3.5",
    "llama-3",
    "glm-4.5",
    "glm-4.7",
    "kimi-k2",
    "kimi-k2-thinking",
    "minimax-m2",
    "gpt-oss",
]


@dataclass(frozen=True, kw_only=True)
class Network:
    """One network; numbers as in its config.json, of which a test multiplies out the catalogue's.

    + name: as its vendor calls it
    + repository: the vendor's own on Hugging Face; None where none of it is served
    + modelscope: on ModelScope, if it has another name there
    + parameters, active_parameters: weights of the network, and those one token passes through
    + kv_lora_rank, rope_head_dim: set where attention is MLA
    + q_lora_rank, nope_head_dim, v_head_dim: of MLA, too; the latter two None where they are
      head_dim
    + index_head_dim, index_heads: width of the indexer's keys, and its queries, set where attention
      is sparse MLA
    + full_attention_interval: every how many-th layer keeps something of every token, the last of
      each such group; 1 where all do
    + sliding_window: tokens whose keys and values the other layers keep
    + linear_key_heads, linear_value_heads, linear_head_dim: of the other layers where their
      attention is linear (Gated DeltaNet): instead of tokens they keep one state a request
    + gated_attention: queries come with a gate of their width, in the layers that keep all
    + vocabulary, intermediate: tokens, and width of the feed-forward part of a dense layer; None
      where unknown, and sizing then takes all layers for equal and the embeddings for nothing
    + tied_embeddings: the output head is the token embedding
    + experts, experts_used, shared_experts: routed ones a layer, those a token passes through, and
      those that every token passes through; 0 in a dense network
    + expert_intermediate: width of one expert
    + dense_layers: leading layers without experts
    + mtp_layers: layers that predict further tokens, and are among the published files
    + context: tokens the network was trained for
    + dialect: how it writes down thoughts and calls of tools, which fine-tuning seldom changes;
      None where unknown, and then an engine leaves both in the answer as they are
    + task: what it was trained to be asked
    + images: prompts may hold them
    """

    name: str
    repository: str | None = None
    modelscope: str | None = None
    parameters: int
    active_parameters: int | None = None
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    kv_lora_rank: int | None = None
    rope_head_dim: int | None = None
    q_lora_rank: int | None = None
    nope_head_dim: int | None = None
    v_head_dim: int | None = None
    index_head_dim: int | None = None
    index_heads: int = 0
    full_attention_interval: int = 1
    sliding_window: int | None = None
    linear_key_heads: int = 0
    linear_value_heads: int = 0
    linear_head_dim: int = 0
    gated_attention: bool = False
    vocabulary: int | None = None
    tied_embeddings: bool = False
    intermediate: int | None = None
    experts: int = 0
    experts_used: int = 0
    shared_experts: int = 0
    expert_intermediate: int = 0
    dense_layers: int = 0
    mtp_layers: int = 0
    context: int
    dialect: Dialect | None = None
    task: Task = "generate"
    images: bool = False
    licence: str

    def __post_init__(self) -> None:
        if self.dialect is not None and self.dialect not in get_args(Dialect):
            raise Refusal(
                f"Network {self.name}: there is no dialect {self.dialect!r}",
                f"Write one of {', '.join(get_args(Dialect))}",
            )

    @property
    def attention(self) -> Attention:
        """Kind of attention; decides if keys and values or a latent vector are cached."""
        if self.kv_lora_rank is not None:
            return "mla" if self.index_head_dim is None else "sparse-mla"
        return "mha" if self.kv_heads == self.heads else "gqa"
