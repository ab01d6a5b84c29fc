"""What the log of a start says, from lines that llama.cpp has printed on Mesa's device."""

from __future__ import annotations

import pytest

from deploys.remote.services import start_log

CARDS = ["0000:03:00.0", "0000:23:00.0"]


def device(number: int, address: str) -> str:
    return (
        f"0.01.733.806 I llama_prepare_model_devices: using device Vulkan{number}"
        f" (llvmpipe (LLVM 19.1.7, 256 bits)) ({address}) - 18305 MiB free"
    )


def layers(count: int) -> str:
    return f"0.01.747.091 I load_tensors: offloaded {count}/81 layers to GPU"


BOTH = [device(0, CARDS[0]), device(1, CARDS[1])]


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ([*BOTH, layers(81)], None),
        ([device(0, CARDS[1]), device(1, CARDS[0]), layers(81)], None),
        # What is loaded beside the model comes behind it.
        ([*BOTH, layers(81), device(0, "0000:99:00.0"), layers(3)], None),
        ([*BOTH, layers(80)], "80 layers are on its cards instead of 81"),
        (
            [device(0, CARDS[0]), layers(81)],
            "it computes on Vulkan0 (llvmpipe (LLVM 19.1.7, 256 bits)) at 0000:03:00.0 instead of"
            " 0000:03:00.0, 0000:23:00.0",
        ),
        ([device(0, "unknown id"), layers(81)], "at unknown id instead of"),
        ([layers(0)], "it computes on no card instead of"),
        ([], "its log of this start does not say which cards it has"),
        (BOTH, "its log of this start does not say which cards it has"),
    ],
)
def test_the_cards_and_layers_of_a_start(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], wrong: str | None
) -> None:
    monkeypatch.setattr(start_log, "_lines", lambda unit: iter(lines))
    found = start_log.other_cards("llama-server@r1.service", CARDS, 81)
    assert found == wrong if wrong is None else wrong in (found or "")
