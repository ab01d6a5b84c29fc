"""Names of models on a hub: what they say, what they are called here, and what is no such name."""

import re

import pytest

from deploys.planning.checkpoint.reference import Reference, is_reference, reference
from deploys.planning.inputs.refusal import Refusal


@pytest.mark.parametrize(
    ("text", "revision", "pattern"),
    [
        ("modelscope:Qwen/Qwen3.8-27B-FP8", None, None),
        ("modelscope:Qwen/Qwen3.8-27B-FP8@master", "master", None),
        ("huggingface:unsloth/Qwen3-8B-GGUF:Q4_K_M", None, "Q4_K_M"),
        ("huggingface:unsloth/Qwen3-8B-GGUF@refs/pr/3:*Q4_K_M*", "refs/pr/3", "*Q4_K_M*"),
        ("huggingface:unsloth/R1-GGUF@v1.0:UD-IQ1_S/R1-*.gguf", "v1.0", "UD-IQ1_S/R1-*.gguf"),
    ],
)
def test_a_name_says_where_and_which(text, revision, pattern):
    found = reference(text)
    assert (found.revision, found.pattern) == (revision, pattern)
    assert str(found) == text
    assert is_reference(text)


def test_a_key_of_the_catalogue_is_none():
    assert not is_reference("qwen3.6-27b-fp8")


def test_keys_are_readable_valid_and_differ_wherever_the_names_do():
    names = [
        "modelscope:Qwen/Qwen3-8B",
        "huggingface:Qwen/Qwen3-8B",
        "huggingface:qwen/qwen3-8b",
        "huggingface:Qwen/Qwen3-8B@v2",
        "huggingface:Qwen/Qwen3-8B:v2",
        "huggingface:Qwen/Qwen3-8B:*v2*",
        f"huggingface:{'o' * 96}/{'n' * 96}:{'p' * 200}",
        "huggingface:a/0._-:**",
    ]
    keys = [reference(name).key for name in names]
    assert len(set(keys)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", key) for key in keys)
    # It names folders that are there already, so it stays what it is.
    assert reference("huggingface:Qwen/Qwen3-8B-GGUF:*Q4_K_M*").key == (
        "qwen3-8b-gguf-q4_k_m-6398796c"
    )


@pytest.mark.parametrize(
    ("text", "write"),
    [
        ("Qwen/Qwen3-8B", "Write modelscope:Qwen/Qwen3-8B or huggingface:Qwen/Qwen3-8B"),
        ("hf:Qwen/Qwen3-8B", "Write huggingface:Qwen/Qwen3-8B"),
        ("ModelScope:Qwen/Qwen3-8B", "Write modelscope:Qwen/Qwen3-8B"),
        ("huggingface:a/b:Q4_K_M@v1", "Write huggingface:a/b@v1:Q4_K_M, as"),
        ("modelscope:Qwen3-8B", "Write modelscope:OWNER/NAME"),
        ("modelscope:Qwen/Qwen3-8B/resolve", "Write modelscope:OWNER/NAME"),
        ("modelscope:../../etc", "Write modelscope:OWNER/NAME"),
        ("modelscope:a/b@../c", "Write modelscope:OWNER/NAME"),
        ("modelscope:a/b@-x", "Write modelscope:OWNER/NAME"),
        ("modelscope:a/b:x\ny", "Write modelscope:OWNER/NAME"),
        ("modelscope:a/b:", "Write modelscope:OWNER/NAME"),
        ("://", "Write modelscope:OWNER/NAME"),
    ],
)
def test_what_is_no_name_is_refused_with_what_to_write(text, write):
    with pytest.raises(Refusal) as refused:
        reference(text)
    assert refused.value.hint.startswith(write)


def test_a_reference_is_compared_by_what_it_says():
    assert reference("modelscope:a/b") == Reference(hub="modelscope", repository="a/b")
