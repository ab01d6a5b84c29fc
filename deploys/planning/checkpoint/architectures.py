"""A network as its config.json describes it, by the architecture that it names."""

from __future__ import annotations

from typing import Any

from deploys.planning.checkpoint.dialects import dialect
from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.shape import families as of
from deploys.planning.checkpoint.shape import total
from deploys.planning.checkpoint.shape.attention import Shape, layers_of
from deploys.planning.checkpoint.shape.configuration import Configuration, shown
from deploys.planning.checkpoint.shape.family import Family
from deploys.planning.checkpoint.tasks import images, task
from deploys.planning.inputs.refusal import Refusal
from deploys.planning.models.shapes import Network

# By architecture, or by model_type where that is of a part of config.json, which names no
# architecture. Those of models with images or sounds, whose text is such a part, stand as None.
_FAMILIES: dict[str, Family | None] = {
    **dict.fromkeys(
        (
            *("LlamaForCausalLM", "LLaMAForCausalLM", "LlamaModel", "llama", "YiForCausalLM"),
            *("MistralForCausalLM", "MistralModel", "mistral", "Ministral3ForCausalLM"),
            *("ministral3", "InternLM3ForCausalLM", "AquilaForCausalLM", "ArceeForCausalLM"),
            *("Qwen2ForCausalLM", "Qwen2Model", "qwen2", "qwen2_5_vl_text", "qwen2_vl_text"),
            *("Qwen2MoeForCausalLM", "qwen2_moe", "Qwen3ForCausalLM", "Qwen3Model", "qwen3"),
            *("qwen3_vl_text", "Qwen3MoeForCausalLM", "qwen3_moe", "qwen3_vl_moe_text"),
            *("Qwen2ForRewardModel", "Qwen2ForProcessRewardModel", "qwen3_omni_moe_text"),
            *("Qwen3ForSequenceClassification", "Qwen2ForSequenceClassification"),
            *("Glm4MoeForCausalLM", "glm4_moe", "glm4v_moe_text", "Phi3ForCausalLM", "phi3"),
            *("SeedOssForCausalLM", "HunYuanDenseV1ForCausalLM", "HunYuanMoEV1ForCausalLM"),
            *("HYV3ForCausalLM", "Dots1ForCausalLM", "MiMoForCausalLM", "SmolLM3ForCausalLM"),
            *("GraniteForCausalLM", "Olmo2ForCausalLM", "BailingMoeV2ForCausalLM"),
            *("Ernie4_5_MoeForCausalLM", "ExaoneForCausalLM", "DeepseekForCausalLM"),
            *("GlmForCausalLM", "Glm4ForCausalLM", "glm4", "glm4v_text", "ChatGLMModel"),
            *("InternLM2ForCausalLM", "BaichuanForCausalLM", "BaiChuanForCausalLM"),
        ),
        of.LLAMA,
    ),
    "Ernie4_5ForCausalLM": of.ERNIE_4_5,
    **dict.fromkeys(("MixtralForCausalLM", "mixtral", "PhiMoEForCausalLM"), of.MIXTRAL),
    "MiniMaxM2ForCausalLM": of.MIXTRAL,
    **dict.fromkeys(("Qwen3NextForCausalLM", "qwen3_next"), of.QWEN_HYBRID),
    **dict.fromkeys(("Qwen3_5ForCausalLM", "qwen3_5_text"), of.QWEN_HYBRID),
    **dict.fromkeys(("Qwen3_5MoeForCausalLM", "qwen3_5_moe_text"), of.QWEN_HYBRID),
    **dict.fromkeys(("GptOssForCausalLM", "gpt_oss"), of.GPT_OSS),
    **dict.fromkeys(("Gemma2ForCausalLM", "gemma2", "Gemma2Model"), of.GEMMA_2),
    **dict.fromkeys(("Gemma3ForCausalLM", "gemma3_text", "Gemma3TextModel"), of.GEMMA_3),
    **dict.fromkeys(("Gemma4ForCausalLM", "gemma4_text"), of.GEMMA_4),
    **dict.fromkeys(("Llama4ForCausalLM", "llama4_text"), of.LLAMA_4),
    **dict.fromkeys(("Cohere2ForCausalLM", "cohere2"), of.COHERE_2),
    "Exaone4ForCausalLM": of.EXAONE_4,
    "Olmo3ForCausalLM": of.OLMO_3,
    **dict.fromkeys(
        (
            *("DeepseekV2ForCausalLM", "deepseek_v2", "DeepseekV3ForCausalLM", "deepseek_v3"),
            *("kimi_k2", "KimiK2ForCausalLM", "Glm4MoeLiteForCausalLM", "glm4_moe_lite"),
            *("Mistral4ForCausalLM", "mistral4", "MistralLarge3ForCausalLM"),
        ),
        of.MLA,
    ),
    **dict.fromkeys(("DeepseekV32ForCausalLM", "GlmMoeDsaForCausalLM", "glm_moe_dsa"), of.DSA),
    **dict.fromkeys(("DeepseekV4ForCausalLM", "deepseek_v4"), of.DEEPSEEK_V4),
    **dict.fromkeys(("KimiLinearForCausalLM", "kimi_linear"), of.KIMI_LINEAR),
    **dict.fromkeys(("MiniMaxM3SparseForCausalLM", "minimax_m3_text"), of.MINIMAX_M3),
    **dict.fromkeys(("MiMoV2FlashForCausalLM", "MiMoV2ForCausalLM"), of.MIMO_V2),
    **dict.fromkeys(("Step3p5ForCausalLM", "step3p5", "step3p7_text"), of.STEP_3_5),
    **dict.fromkeys(
        (
            *("BertModel", "BertForMaskedLM", "BertForSequenceClassification", "RobertaModel"),
            *("RobertaForMaskedLM", "RobertaForSequenceClassification", "XLMRobertaModel"),
            *("XLMRobertaForMaskedLM", "XLMRobertaForSequenceClassification"),
        ),
        of.ENCODER,
    ),
    **dict.fromkeys(
        (
            *("Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"),
            *("Qwen3VLForConditionalGeneration", "Qwen3VLMoeForConditionalGeneration"),
            *("Qwen3_5ForConditionalGeneration", "Qwen3_5MoeForConditionalGeneration"),
            *("Gemma3ForConditionalGeneration", "Gemma4ForConditionalGeneration"),
            *("Llama4ForConditionalGeneration", "Mistral3ForConditionalGeneration"),
            *("LlavaForConditionalGeneration", "PixtralForConditionalGeneration"),
            *("KimiVLForConditionalGeneration", "KimiK25ForConditionalGeneration"),
            *("KimiK3ForConditionalGeneration", "MiniMaxM3SparseForConditionalGeneration"),
            *("Glm4vForConditionalGeneration", "Glm4vMoeForConditionalGeneration"),
            "InternVLChatModel",
            *("InternVLForConditionalGeneration", "Step3p7ForConditionalGeneration"),
            *("InternS1ForConditionalGeneration", "Gemma4UnifiedForConditionalGeneration"),
            "Qwen3OmniMoeForConditionalGeneration",
        ),
        None,
    ),
}
_PARTS = ("text_config", "language_config", "llm_config", "thinker_config")
# What a part of config.json may leave to the whole.
_INHERITED = ("tie_word_embeddings", "vocab_size")


def network(documents: Documents, name: str) -> Network:
    """Return the network that config.json describes; raise Refusal for what it leaves unknown.

    + name: of the model, as its repository has it
    """
    settings = Configuration(name, documents.config)
    if not documents.config:
        raise settings.unknown("layers", "There is no config.json")
    text, family = _text_of(settings)
    text = text.with_defaults({"tie_word_embeddings": family.encoder} | dict(family.defaults))
    made = described(documents, name, text, family)
    return total.counted(made, settings, text, documents)


def described(documents: Documents, name: str, text: Configuration, family: Family) -> Network:
    """Return the network, but for its parameters."""
    layers = layers_of(text)
    shape: Shape = {
        "layers": layers,
        "hidden": text.count("hidden", "hidden_size", "n_embd"),
        "vocabulary": text.count("vocabulary", "vocab_size", "padded_vocab_size"),
        "tied_embeddings": text.flag("tied_embeddings", "tie_word_embeddings"),
        "gated_feed_forward": not family.encoder,
        "causal": not family.encoder,
        "mtp_layers": _mtp_layers(text, documents, layers),
        "context": _context(text, family),
    }
    asked = task(documents)
    if asked == "embed":
        # It has no output head, whatever it was made of (vLLM, adapters.py).
        shape["tied_embeddings"] = True
    return Network(
        name=name,
        parameters=1,
        dialect=dialect(documents) if asked == "generate" else None,
        task=asked,
        images=images(documents),
        licence=documents.licence or "unknown",
        **(shape | family.shape(text)),
    )


def unknown_architecture(settings: Configuration, named: str | None, where: str) -> Refusal:
    """Return the refusal of what no family is known of."""
    if named is None:
        what = f"{settings.path} names no architecture"
    else:
        what = f"the architecture {shown(named)} is unknown"
    return Refusal(
        f"{settings.name}: {what}",
        "Describe the model in the inventory, with the figures of its model card: "
        "model=Model(..., network=Network(layers=..., ...)), or add the architecture to"
        f" deploys/planning/checkpoint/{where}",
    )


def _text_of(settings: Configuration) -> tuple[Configuration, Family]:
    """Return the part of config.json that describes the network of text, and its family."""
    inherited: dict[str, Any] = {}
    named: str | None = None
    for _ in range(3):
        named = Documents(
            json={
                "config.json": {key: settings.get(key) for key in ("architectures", "model_type")}
            }
        ).architecture
        if named not in _FAMILIES:
            break
        family = _FAMILIES[named]
        if family is not None:
            return settings.with_defaults(inherited), family
        inherited |= {key: settings.get(key) for key in _INHERITED if key in settings}
        part = settings.inner(*_PARTS)
        if part is None:
            # Qwen2.5-VL once had its text's settings beside those of images.
            family = _FAMILIES.get(f"{settings.get('model_type')}_text")
            if family is None:
                raise settings.unknown("layers", f"{settings.path} of {named} has no text_config")
            return settings, family
        settings = part
    raise unknown_architecture(settings, named, "architectures.py")


def _mtp_layers(text: Configuration, documents: Documents, layers: int) -> int:
    """Return the layers that predict further tokens; none where an index has none of them."""
    keys = ("num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers")
    said = text.maybe("mtp_layers", *keys, least=0, most=64) or 0
    there = [
        index.get("mtp") is True or _is_more(index.get("layers"), layers)
        for index in total.indexes(documents)
        if "layers" in index
    ]
    return said if any(there) or not there else 0


def _is_more(said: Any, layers: int) -> bool:
    return isinstance(said, int) and said > layers


def _context(text: Configuration, family: Family) -> int:
    keys = ("max_position_embeddings", "seq_length", "model_max_length", "n_positions")
    context = text.count("context", *keys)
    padding = text.maybe("context", "pad_token_id", least=0)
    if family.encoder and "roberta" in str(text.get("model_type")) and padding is not None:
        # Its positions count from behind the padding (vLLM, config/model.py).
        context = max(1, context - padding - 1)
    return context
