"""Known failures of engines that cut matrices for their cards, where these do not divide."""

from __future__ import annotations

from deploys.planning.engines.failures.known import known

_SMALLER = (
    "set a smaller tensor_parallel for the service; the other cards can take copies (replicas) or"
    " stages (pipeline_parallel)"
)

DIVISION = (
    known(
        "division",
        r"= (?P<size>\d+) is not divisible by weight quantization block_[nk] = (?P<block>\d+)",
        "The weights are quantized in blocks of {block}, and the {size} that a card would have of a"
        " matrix are no whole number of them: " + _SMALLER,
        "vLLM 0.32 and SGLang 0.5.23, quantization/fp8*.py",
    ),
    known(
        "division",
        r"[Ww]eight \w+_size_per_partition ?= ?(?P<size>\d+)\b.* is not divisible by"
        r" (?:min_thread_[nk]|group_size) ?= ?(?P<by>\d+)",
        "The weights are packed by {by}, and the {size} that a card would have of a matrix are no"
        " whole number of that: " + _SMALLER,
        "vLLM 0.32, distributed/utils.py and marlin_utils.py; SGLang 0.5.23, marlin_utils.py",
    ),
    known(
        "division",
        r"(?:input|output) size is not aligned with the quantized weight shape",
        "A card's share of a matrix is no whole number of what the weights are packed by: "
        + _SMALLER,
        "vLLM 0.32, quark_w4a16_int4.py; SGLang 0.5.23, quantization/bitsandbytes.py",
    ),
    known(
        "division",
        r"n_physical_experts=(?P<experts>\d+) must be divisible by ep_size=(?P<size>\d+)",
        "{experts} experts cannot be dealt to {size} cards: set tensor_parallel of the service to a"
        " divisor of {experts}",
        "vLLM, distributed/eplb",
    ),
    known(
        "division",
        r"[Aa]ttention[ _]heads\D{0,3}(?P<heads>\d+)\)? (?:must be|are not) divisible by"
        r" (?:tensor parallel size \(|TP=)(?P<size>\d+)",
        "{heads} attention heads cannot be shared by {size} cards: set tensor_parallel of the"
        " service to a divisor of {heads}",
        "vLLM 0.32, config/model.py; SGLang 0.5.23, models",
    ),
    known(
        "division",
        r"moe_intermediate_size (?P<size>\d+) must be divisible by moe_tp_size \((?P<by>\d+)\)"
        r"|AssertionError: (?P<of>\d+) is not divisible by (?P<cards>\d+)$",
        "A size of the network is no multiple of the cards that share it: set tensor_parallel of"
        " the service to a smaller number, or to a power of two",
        "vLLM 0.32 and SGLang 0.5.23, distributed/utils.py; SGLang 0.5.23, models",
    ),
)
