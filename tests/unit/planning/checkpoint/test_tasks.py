"""What a checkpoint is asked: by the modules beside it, by its architecture, by its GGUF."""

from __future__ import annotations

from typing import Any

import pytest

from deploys.planning.checkpoint.documents import Documents
from deploys.planning.checkpoint.tasks import images, task

QWEN = {"architectures": ["Qwen3ForCausalLM"]}


def modules(*kinds: str) -> list[dict[str, Any]]:
    return [{"idx": at, "type": f"sentence_transformers.{kind}"} for at, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("files", "asked"),
    [
        ({"config.json": QWEN}, "generate"),
        (
            {"config.json": QWEN, "modules.json": modules("models.Transformer", "models.Pooling")},
            "embed",
        ),
        (
            {
                "config.json": QWEN,
                "modules.json": modules("models.Transformer", "models.Pooling", "models.Normalize"),
            },
            "embed",
        ),
        (
            {"config.json": QWEN, "modules.json": modules("base.Transformer", "LogitScore")},
            "rerank",
        ),
        ({"config.json": QWEN, "1_LogitScore/config.json": {}}, "rerank"),
        (
            {
                "config.json": QWEN,
                "config_sentence_transformers.json": {"model_type": "CrossEncoder"},
            },
            "rerank",
        ),
        ({"config.json": QWEN, "config_sentence_transformers.json": {}}, "embed"),
        ({"config.json": {"architectures": ["XLMRobertaModel"]}}, "embed"),
        ({"config.json": {"architectures": ["BertForSequenceClassification"]}}, "rerank"),
        ({"config.json": {"architectures": ["Qwen3ForSequenceClassification"]}}, "rerank"),
        ({"config.json": {"architectures": [7]}, "modules.json": [1, {"type": 2}]}, "generate"),
    ],
)
def test_the_task_is_what_the_documents_say(files: dict[str, Any], asked: str) -> None:
    assert task(Documents(json=files)) == asked


@pytest.mark.parametrize(("pooling", "asked"), [(0, "generate"), (3, "embed"), (4, "rerank")])
def test_a_gguf_says_how_it_pools(pooling: int, asked: str) -> None:
    head = {"general.architecture": "qwen3", "qwen3.pooling_type": pooling}
    assert task(Documents(gguf={"a.gguf": head})) == asked


def test_images_have_a_part_of_their_own() -> None:
    assert images(Documents(json={"config.json": {"vision_config": {}}}))
    assert images(Documents(json={"config.json": {"thinker_config": {"vision_config": {}}}}))
    assert images(Documents(json={"config.json": {"vision_n_layers": 24}}))
    assert not images(Documents(json={"config.json": {"vision_n_layers": 0}}))
    assert not images(Documents(json={"config.json": QWEN}))
    model = {"general.architecture": "qwen3vl"}
    assert not images(Documents(gguf={"a.gguf": model}))
    projector = {"general.architecture": "clip"}
    assert images(Documents(gguf={"a.gguf": model, "mmproj.gguf": projector}))
