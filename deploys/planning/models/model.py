"""One set of weights: its sources, its files, and the figures that sizing needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from deploys.planning.inputs.refusal import Refusal

_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")

Format = Literal["gguf", "safetensors"]
Attention = Literal["mha", "gqa", "mla", "sparse-mla"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """One set of weights in one quantization.

    + key: name in inventories, and of the folder below <data_root>/models
    + modelscope, huggingface: repository on each hub; None where it is not published
    + files: patterns (fnmatch on the whole path) that select exactly this variant
    + scale_group: weights in a row that share a scale, so that no two cards share them; 1 where a
      whole row has one, None for what is usual of the quantization
    + revision: commit of the repository; "master" until the first run has pinned one
    + size: bytes of the selected files, as published; the lock replaces it by the listed sum
    + parameters, active_parameters: weights of the network, and those one token passes through
    + layers .. rope_head_dim: shape of the network, as in its config.json; kv_lora_rank and
      rope_head_dim are set where attention is MLA
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
    + legacy_cache: MLA weights in a GGUF from before llama.cpp cached the latent vector (April
      2025), which keep the keys and values of all heads instead
    + context: tokens the network was trained for
    + source: where the figures come from
    + confirmed: the hub was seen to list these files; otherwise the first lock run confirms it
    """

    key: str
    title: str
    format: Format
    quantization: str
    scale_group: int | None = None
    modelscope: str | None = None
    huggingface: str | None = None
    files: tuple[str, ...]
    revision: str = "master"
    size: int
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
    legacy_cache: bool = False
    context: int
    licence: str
    source: str
    confirmed: bool = False

    def __post_init__(self) -> None:
        if not _KEY.fullmatch(self.key):
            raise Refusal(
                f"{self.key!r} cannot be the key of a model, as it names a folder",
                "Use lower case letters, digits, dots, dashes and underscores",
            )

    @property
    def attention(self) -> Attention:
        """Kind of attention; decides if keys and values or a latent vector are cached."""
        if self.kv_lora_rank is not None:
            return "mla" if self.index_head_dim is None else "sparse-mla"
        return "mha" if self.kv_heads == self.heads else "gqa"
