"""How the config.json of a Llama is read, and what another family may do otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deploys.planning.checkpoint.shape import attention
from deploys.planning.checkpoint.shape.attention import LINEAR, Kinds, Shape, in_layers
from deploys.planning.checkpoint.shape.configuration import Configuration
from deploys.planning.checkpoint.shape.feed_forward import feed_forward


@dataclass(frozen=True, kw_only=True)
class Family:
    """One family, of which the defaults are a Llama.

    + defaults: what its class fills in where published files are silent, and sizing needs it
    + kinds: of its layers, where the document has no layer_types
    + plain_width: intermediate_size is the width of its experts
    + gated: the results of attention are multiplied by a gate of their width
    + encoder: it reads a text at once, from both sides, with a plain feed-forward part and no head
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    kinds: Kinds = attention.all_alike
    plain_width: bool = False
    gated: bool = False
    encoder: bool = False

    def shape(self, settings: Configuration) -> Shape:
        """Return the fields of Network that say what attention and feed-forward parts are like."""
        placed, kinds = in_layers(settings, self.kinds)
        shape = self.attention(settings) | placed
        if LINEAR in kinds:
            shape |= attention.delta_states(settings)
        shape |= feed_forward(settings, plain_width=self.plain_width)
        if settings.flag("gated_attention", "attn_output_gate", self.gated):
            shape["gated_attention"] = True
        shape |= self.more(settings, shape)
        attention.divides(settings, shape["heads"], shape["kv_heads"])
        windowed = shape.get("window_heads") or shape["heads"]
        attention.divides(settings, windowed, shape.get("window_kv_heads") or shape["kv_heads"])
        return shape

    def attention(self, settings: Configuration) -> Shape:
        """Return heads, or latent vectors."""
        return attention.heads(settings)

    def more(self, settings: Configuration, shape: Shape) -> Shape:
        """Return what this family alone has."""
        return {}
