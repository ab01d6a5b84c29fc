"""Write data/chat_templates.yaml anew from a source tree of llama.cpp: facts alone.

python -m tests.unit.planning.checkpoint.update_chat_templates ~/llama.cpp
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import yaml

from tests.unit import UNIT

DATA = UNIT / "data" / "chat_templates.yaml"
HEAD = """\
# Facts from the chat templates that llama.cpp keeps (models/templates): which words each of them
# holds, of those that tell dialects apart, and whether an answer begins with a thought.
# Written by tests/unit/planning/checkpoint/update_chat_templates.py; see there.
"""
# Marks of a model, in angle or square brackets, and words.
_MARK = re.compile(r"</?\|?[a-zA-Z_:.]{2,24}\|?>|<｜[^｜\s]{2,24}｜>|｜DSML｜|\[[A-Z_]{3,20}\]")
_WORDS = (
    *("tools", "tool_calls", "function_calls", "function", "think", "thinking", "enable_thinking"),
    *("reason", "ipython", "[INST]", '"name"', '"parameters"', "<function=", "hy_Assistant"),
    *("is_last_user", "is_output_first", "<tool_call>{function-name}<arg_key>", "<tool_calls"),
    "<tool_call>{function-name}\n<arg_key>",
)


def main(source: str) -> None:
    templates = {}
    for path in sorted(Path(source).glob("models/templates/*.jinja")):
        text = path.read_text().replace("\\n", "\n").replace('\\"', '"')
        end = text.rpartition("add_generation_prompt")[2] if "add_generation_prompt" in text else ""
        words = {word for word in _WORDS if word in text} | set(_MARK.findall(text))
        asks = "<think>" in end and "</think>" not in end
        templates[path.stem] = {"words": sorted(words), "asks": asks}
    text = yaml.safe_dump(templates, width=100, allow_unicode=True, default_flow_style=None)
    DATA.write_text(HEAD + text)


if __name__ == "__main__":
    main(*sys.argv[1:])
