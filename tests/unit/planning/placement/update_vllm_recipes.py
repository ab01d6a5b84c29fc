"""Write data/vllm_recipes.yaml anew from the recipes in a release of vLLM: facts alone.

    python -m tests.unit.planning.placement.update_vllm_recipes 0.33.0

A recipe's smallest memory and verified hardware are kept, for the variants of networks that our
catalogue has, too. What stands under `differs` was written by hand and is carried over.
"""

from __future__ import annotations

import sys
import tarfile
from typing import Any

import yaml

from tests import temporary
from tests.lab.package_index import download
from tests.unit import UNIT

DATA = UNIT / "data" / "vllm_recipes.yaml"
HEAD = """\
# Facts from vLLM's recipes (recipes/models in its source distribution, Apache-2.0): the smallest
# memory of all cards together in GB, and hardware on which it was seen to run. ours: the entry of
# our catalogue with the same network in the same width, as fine-tuning changes no size.
# Written by tests/unit/planning/placement/update_vllm_recipes.py, but for `differs`: where we
# decide otherwise, why.
"""
# Recipe, its variant, our model.
BOTH_KNOW = (
    ("deepseek-ai/DeepSeek-R1", "default", "deepseek-r1"),
    ("deepseek-ai/DeepSeek-R1", "r1_0528", "deepseek-r1"),
    ("deepseek-ai/DeepSeek-V3", "default", "deepseek-v3"),
    ("deepseek-ai/DeepSeek-V3", "v3_0324", "deepseek-v3"),
    ("deepseek-ai/DeepSeek-V3.1", "default", "deepseek-v3.1"),
    ("deepseek-ai/DeepSeek-V3.2", "default", "deepseek-v3.2"),
    ("meta-llama/Llama-3.3-70B-Instruct", "default", "llama-3.3-70b-instruct"),
    ("meta-llama/Llama-3.3-70B-Instruct", "fp8", "llama-3.3-70b-instruct-fp8"),
    ("meta-llama/Llama-3.3-70B-Instruct", "redhat_fp8", "llama-3.3-70b-instruct-fp8"),
    ("meta-llama/Llama-3.3-70B-Instruct", "redhat_fp8_block", "llama-3.3-70b-instruct-fp8"),
    ("meta-llama/Llama-3.1-8B-Instruct", "default", "deepseek-r1-distill-llama-8b"),
    ("meta-llama/Llama-3.1-8B", "default", "deepseek-r1-distill-llama-8b"),
    ("Qwen/Qwen2.5-32B", "default", "deepseek-r1-distill-qwen-32b"),
    ("Qwen/Qwen2.5-32B", "fp8", "deepseek-r1-distill-qwen-32b-fp8"),
    ("Qwen/QwQ-32B", "default", "deepseek-r1-distill-qwen-32b"),
    ("Qwen/QwQ-32B", "awq", "deepseek-r1-distill-qwen-32b-awq"),
    ("Qwen/Qwen3-32B", "default", "qwen3-32b"),
    ("Qwen/Qwen3-32B", "fp8", "qwen3-32b-fp8"),
    ("Qwen/Qwen3-32B", "awq", "qwen3-32b-awq"),
    ("Qwen/Qwen3-30B-A3B", "default", "qwen3-30b-a3b-instruct-2507"),
    ("Qwen/Qwen3-235B-A22B-Instruct-2507", "default", "qwen3-235b-a22b-instruct-2507"),
    ("Qwen/Qwen3-235B-A22B-Instruct-2507", "fp8", "qwen3-235b-a22b-instruct-2507-fp8"),
    ("Qwen/Qwen3.5-27B", "default", "qwen3.6-27b"),
    ("Qwen/Qwen3.5-35B-A3B", "fp8", "qwen3.6-35b-a3b-fp8"),
    ("Qwen/Qwen3.6-27B", "default", "qwen3.6-27b"),
    ("Qwen/Qwen3.6-27B", "fp8", "qwen3.6-27b-fp8"),
    ("Qwen/Qwen3.6-35B-A3B", "default", "qwen3.6-35b-a3b"),
    ("Qwen/Qwen3.6-35B-A3B", "fp8", "qwen3.6-35b-a3b-fp8"),
    ("openai/gpt-oss-20b", "default", "gpt-oss-20b"),
    ("openai/gpt-oss-120b", "default", "gpt-oss-120b"),
    ("zai-org/GLM-4.5", "fp8", "glm-4.6-fp8"),
    ("zai-org/GLM-4.6", "fp8", "glm-4.6-fp8"),
    ("zai-org/GLM-4.7", "fp8", "glm-4.7-fp8"),
    ("zai-org/GLM-5", "fp8", "glm-5-fp8"),
    ("moonshotai/Kimi-K2-Instruct", "default", "kimi-k2-instruct"),
    ("moonshotai/Kimi-K2-Thinking", "default", "kimi-k2-thinking"),
)


def main(version: str) -> None:
    before = yaml.safe_load(DATA.read_text()) if DATA.exists() else {"recipes": []}
    differs = {(row["recipe"], row["variant"]): row.get("differs") for row in before["recipes"]}
    with temporary.folder("modelrack-recipes-") as folder:
        archive = download("vllm", f"vllm-{version}.tar.gz", folder)
        with tarfile.open(archive) as files:
            rows = [_row(files, version, *known) for known in BOTH_KNOW]
    for row in rows:
        if noted := differs.get((row["recipe"], row["variant"])):
            row["differs"] = noted
    data = {"vllm": version, "licence": "Apache-2.0", "recipes": rows}
    DATA.write_text(HEAD + yaml.safe_dump(data, sort_keys=False, width=100))


def _row(
    files: tarfile.TarFile, version: str, recipe: str, variant: str, ours: str
) -> dict[str, Any]:
    member = files.extractfile(f"vllm-{version}/recipes/models/{recipe}.yaml")
    assert member is not None
    content = yaml.safe_load(member)
    entry = content["variants"][variant]
    verified = [name for name, how in content["meta"]["hardware"].items() if how == "verified"]
    supported = entry.get("supported_hardware", verified)
    return {
        "recipe": recipe,
        "variant": variant,
        "precision": entry["precision"],
        "vram_minimum_gb": entry["vram_minimum_gb"],
        "fp8_cache": "--kv-cache-dtype" in entry.get("extra_args", ()),
        "verified": [name for name in verified if name in supported],
        "ours": ours,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
