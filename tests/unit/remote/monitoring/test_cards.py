"""What cards say of themselves, from output of each vendor's tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.remote.monitoring import cards
from deploys.remote.monitoring.cards import Cards

ADDRESS = "0000:17:00.0"
FIELDS = tuple(cards._NVIDIA)


def values(samples: object) -> dict[str, float]:
    """Samples by name and labels, without the address."""
    found = {}
    for sample in samples:  # type: ignore[attr-defined]
        more = [text for name, text in sample.labels.items() if name != "address"]
        found[" ".join([sample.name.removeprefix("modelrack_card_"), *more])] = sample.value
    return found


def test_nvidia_says_all_and_what_it_does_not_know_is_left_out() -> None:
    line = (
        "00000000:17:00.0, 41, 55, 98.30, 87, 70000, 81559, 3, 0, 1, 0, Yes, No,"
        " Active, Not Active, Not Active, Active"
    )
    there = cards.nvidia(line, FIELDS)[ADDRESS]
    found = {" ".join([name, *labels.values()]): value for name, value, labels in there}
    assert found["temperature_celsius memory"] == 55
    assert found["utilization_ratio"] == pytest.approx(0.87)
    assert found["memory_used_bytes"] == 70000 << 20
    assert (found["ecc_errors corrected"], found["remapped_rows pending"]) == (3, 1)
    assert (found["throttled hw_thermal_slowdown"], found["throttled sw_power_cap"]) == (1, 1)
    old = cards.nvidia(line.replace(" 55,", " N/A,").replace(" 3, 0,", " [N/A], [N/A],"), FIELDS)
    names = {" ".join([name, *labels.values()]) for name, _, labels in old[ADDRESS]}
    assert names.isdisjoint({"temperature_celsius memory", "ecc_errors corrected"})
    assert cards.nvidia("No devices were found", FIELDS) == {}


def test_an_older_driver_is_asked_for_what_it_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*command: str) -> tuple[str, str]:
        fields = command[1].partition("=")[2].split(",")
        for name in fields:
            if name.startswith("clocks_event_reasons"):
                return f'Field "{name}" is not a valid field to query.', "ended with code 2"
        return ", ".join(["00000000:17:00.0", *("1" for _ in fields[1:])]), ""

    monkeypatch.setattr(cards, "run", run)
    found = values(Cards("nvidia", [ADDRESS]).samples())
    assert found["up"] == 1 and found["temperature_celsius gpu"] == 1
    assert not any(name.startswith("throttled") for name in found)


def test_a_card_that_is_lost_is_down_and_a_tool_that_hangs_is_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def run(*command: str) -> tuple[str, str]:
        asked.append(command)
        return "", "nvidia-smi did not answer within 10 seconds"

    monkeypatch.setattr(cards, "run", run)
    ours = Cards("nvidia", [ADDRESS])
    for _ in range(20):
        assert values(ours.samples()) == {"up": 0}
    assert len(asked) == 1
    assert values(ours.samples()) == {"up": 0}
    assert len(asked) == 2


def test_amd_by_the_kernel(tmp_path: Path) -> None:
    files = {
        "mem_info_vram_used": "1024\n",
        "mem_info_vram_total": "4096\n",
        "gpu_busy_percent": "50\n",
        "hwmon/hwmon3/temp2_input": "61000\n",
        "hwmon/hwmon3/temp2_label": "junction\n",
        "hwmon/hwmon3/temp3_input": "55000\n",
        "hwmon/hwmon3/temp3_label": "mem\n",
        "hwmon/hwmon3/power1_average": "250000000\n",
        "ras/umc_err_count": "ue: 1\nce: 7\n",
    }
    for name, text in files.items():
        path = tmp_path / ADDRESS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    there = cards.amd([ADDRESS, "0000:18:00.0"], tmp_path)
    found = {" ".join([name, *labels.values()]): value for name, value, labels in there[ADDRESS]}
    assert found == {
        "memory_used_bytes": 1024,
        "memory_size_bytes": 4096,
        "utilization_ratio": 0.5,
        "temperature_celsius hotspot": 61,
        "temperature_celsius memory": 55,
        "power_watts": 250,
        "ecc_errors uncorrected": 1,
        "ecc_errors corrected": 7,
    }
    assert there["0000:18:00.0"] == []


def test_ascend_by_its_table() -> None:
    table = """\
| 0     910B3               | OK            | 101.8       43          0    / 0              |
| 0                         | 0000:C1:00.0  | 12    0    / 0          3318 / 65536          |
| 1     910B3               | Alarm         | 90.1        40          0    / 0              |
| 0                         | 0000:C2:00.0  | 0     0    / 0          3318 / 65536          |
"""
    found = cards.ascend(table)
    assert [*found] == ["0000:c1:00.0"]
    there = {name: value for name, value, _ in found["0000:c1:00.0"]}
    assert (there["power_watts"], there["temperature_celsius"]) == (101.8, 43)
    assert (there["utilization_ratio"], there["memory_used_bytes"]) == (0.12, 3318 << 20)
