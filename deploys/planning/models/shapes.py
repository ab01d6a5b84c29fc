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
    "kimi-k3",
    "minimax-m2",
    "minimax-m3",
    "gpt-oss",
    "gemma-4",
    "mistral",
    "magistral",
    "llama-4",
    "phi-4-mini",
    "seed-oss",
    "ernie-4.5",
    "hunyuan",
    "hy-3",
    "step-3.5",
    "nemotron-3",
    "mimo-v2-flash",
    "mimo-v2.5",
]


@dataclass(frozen=True, kw_only=True)
class Compressed:
    """DeepSeek-V4's attention: one vector for all heads, and one entry for several tokens.

    Every layer also keeps the last tokens as they are (`sliding_window`).

    + ratios: of each layer, how many tokens one entry is for; 1 where it has the window alone
    + output_groups, output_rank: groups of heads whose results are projected down, and to what
    """

    ratios: tuple[int, ...]
    output_groups: int
    output_rank: int


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
      is sparse, which it can be without MLA, too (MiniMax-M3)
    + index_layers: the layers with an indexer, where others take its choice; None where all do
    + compressed: set where attention is DeepSeek-V4's; kv_lora_rank is then its vector without the
      rotary part
    + full_attention_interval: every how many-th layer keeps something of every token, the last of
      each such group; 1 where all do
    + full_attention_layers: those layers, where they do not come at an interval; None where they do
    + sliding_window: tokens whose keys and values the other layers keep; of a chunk, where they
      look back to its beginning (Llama 4)
    + window_heads, window_kv_heads, window_head_dim: of these layers, where they are not as in
      those that keep all; None where they are
    + shared_cache_layers: last layers that read the cache of an earlier one of their kind
    + keys_are_values: layers that keep all have one matrix for both (Gemma 4)
    + linear_key_heads, linear_value_heads, linear_head_dim: of the other layers where their
      attention is linear (Gated DeltaNet, Kimi Delta Attention): instead of tokens they keep one
      state a request
    + linear_low_rank_gates: these layers' gates go through a narrow vector (Kimi-Linear)
    + gated_attention: results are multiplied by a gate of their width, in the layers that keep all
    + vocabulary, intermediate: tokens, and width of the feed-forward part of a dense layer; None
      where unknown, and sizing then takes all layers for equal and the embeddings for nothing
    + tied_embeddings: the output head is the token embedding
    + layer_embeddings: width of the embedding that each layer has of its own (Gemma 4 E2B, E4B)
    + shared_cache_intermediate: width of the feed-forward part in shared_cache_layers, where it is
      another
    + gated_feed_forward: the feed-forward part has three matrices, and not two (encoders)
    + experts, experts_used, shared_experts: routed ones a layer, those a token passes through, and
      those that every token passes through; 0 in a dense network
    + expert_intermediate: width of one expert
    + expert_hidden: width that a token is projected to for the routed experts (Kimi-K3); None where
      they take it as it is
    + dense_layers: leading layers without experts
    + experts_interval: of the others, every how many-th has experts, the last of each such group
    + mtp_layers: layers that predict further tokens, and are among the published files
    + context: tokens the network was trained for
    + dialect: how it writes down thoughts and calls of tools, which fine-tuning seldom changes;
      None where unknown, and then an engine leaves both in the answer as they are
    + task: what it was trained to be asked
    + images: prompts may hold them
    + causal: a token sees those before it alone; False of encoders such as BERT, which read a text
      at once, and keep nothing of it
    + verdict: of a reranker whose score is how probable one of two words is as the next: the one
      for a text that does not fit, and the one for a text that does
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
    index_layers: tuple[int, ...] | None = None
    compressed: Compressed | None = None
    full_attention_interval: int = 1
    full_attention_layers: tuple[int, ...] | None = None
    sliding_window: int | None = None
    window_heads: int | None = None
    window_kv_heads: int | None = None
    window_head_dim: int | None = None
    shared_cache_layers: int = 0
    keys_are_values: bool = False
    linear_key_heads: int = 0
    linear_value_heads: int = 0
    linear_head_dim: int = 0
    linear_low_rank_gates: bool = False
    gated_attention: bool = False
    vocabulary: int | None = None
    tied_embeddings: bool = False
    layer_embeddings: int = 0
    intermediate: int | None = None
    shared_cache_intermediate: int | None = None
    gated_feed_forward: bool = True
    experts: int = 0
    experts_used: int = 0
    shared_experts: int = 0
    expert_intermediate: int = 0
    expert_hidden: int | None = None
    dense_layers: int = 0
    experts_interval: int = 1
    mtp_layers: int = 0
    context: int
    dialect: Dialect | None = None
    task: Task = "generate"
    images: bool = False
    causal: bool = True
    verdict: tuple[str, str] | None = None
    licence: str

    def __post_init__(self) -> None:
        if self.dialect is not None and self.dialect not in get_args(Dialect):
            raise Refusal(
                f"Network {self.name}: there is no dialect {self.dialect!r}",
                f"Write one of {', '.join(get_args(Dialect))}",
            )
        if self.task not in get_args(Task):
            raise Refusal(
                f"Network {self.name}: there is no task {self.task!r}",
                f"Write one of {', '.join(get_args(Task))}",
            )

    @property
    def attention(self) -> Attention:
        """Kind of attention; decides if keys and values or a latent vector are cached."""
        if self.kv_lora_rank is not None:
            return "mla" if self.index_head_dim is None else "sparse-mla"
        return "mha" if self.kv_heads == self.heads else "gqa"
