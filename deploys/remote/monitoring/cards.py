"""How the cards of this machine are, as their drivers say it.

NVIDIA's by nvidia-smi. AMD's from the kernel's documentation of amdgpu, Ascend's from published
output of npu-smi; neither was tried on hardware.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..facts.nvidia import asked, row
from ..facts.pci import DEVICES
from ..lib.probe import number, read, run
from .exposition import Sample

# What is asked of nvidia-smi, and what becomes of it: metric, labels, and what a unit of it is.
_NVIDIA: Mapping[str, tuple[str, dict[str, str], float]] = {
    "temperature.gpu": ("temperature_celsius", {"part": "gpu"}, 1),
    "temperature.memory": ("temperature_celsius", {"part": "memory"}, 1),
    "power.draw": ("power_watts", {}, 1),
    "utilization.gpu": ("utilization_ratio", {}, 0.01),
    "memory.used": ("memory_used_bytes", {}, 1 << 20),
    "memory.total": ("memory_size_bytes", {}, 1 << 20),
    "ecc.errors.corrected.volatile.total": ("ecc_errors", {"kind": "corrected"}, 1),
    "ecc.errors.uncorrected.volatile.total": ("ecc_errors", {"kind": "uncorrected"}, 1),
    "remapped_rows.correctable": ("remapped_rows", {"kind": "correctable"}, 1),
    "remapped_rows.uncorrectable": ("remapped_rows", {"kind": "uncorrectable"}, 1),
    "remapped_rows.pending": ("remapped_rows", {"kind": "pending"}, 1),
    "remapped_rows.failure": ("remapped_rows", {"kind": "failure"}, 1),
    **{
        f"clocks_event_reasons.{reason}": ("throttled", {"reason": reason}, 1)
        for reason in (
            *("hw_thermal_slowdown", "hw_power_brake_slowdown"),
            *("sw_thermal_slowdown", "sw_power_cap"),
        )
    },
}
_WORDS = {"Active": 1.0, "Not Active": 0.0, "Yes": 1.0, "No": 0.0}
# What an amdgpu calls its sensors, and we do. Source: kernel documentation, gpu/amdgpu/thermal.
_SENSORS = {"edge": "gpu", "junction": "hotspot", "mem": "memory"}
# | 0     910B3               | OK            | 101.8       43          0    / 0    |
_NPU = re.compile(r"\|\s*\d+\s+[\w-]+\s*\|\s*(\w+)\s*\|\s*([\d.]+)\s+(\d+)\s")
# | 0                         | 0000:C1:00.0  | 0     0    / 0          3318 / 65536         |
_CHIP = re.compile(r"\|\s*\d+\s*\|\s*([0-9A-Fa-f]{4}:[0-9A-Fa-f:.]{7})\s*\|\s*(\d+)\s(.*)\|")
_USAGE = re.compile(r"(\d{1,12})\s*/\s*(\d{1,12})")
# Looks after which a tool that has not answered is asked again: each leaves a process behind.
_SKIPPED = 20


class Cards:
    """Those that the plan counts as ours.

    + vendor: whose they are; None where there are none
    + addresses: on the PCI bus
    """

    def __init__(self, vendor: str | None, addresses: Sequence[str]) -> None:
        self._vendor, self._addresses = vendor, addresses
        self._fields: tuple[str, ...] = tuple(_NVIDIA)
        self._skip = 0

    def samples(self) -> Iterator[Sample]:
        """Yield what each says of itself, and of each whether it is there."""
        if self._skip:
            self._skip -= 1
        ask = {"nvidia": self._nvidia, "amd": self._amd, "huawei": self._ascend}
        look = ask.get(self._vendor or "")
        if look is None:
            return
        found = {} if self._skip else look()
        for address in self._addresses:
            there = found.get(address, [])
            yield Sample("modelrack_card_up", float(bool(there)), address=address)
            for name, value, labels in there:
                yield Sample(f"modelrack_card_{name}", value, address=address, **labels)

    def _asked(self, *command: str) -> tuple[str, str]:
        text, why = run(*command)
        if "did not answer" in why:
            self._skip = _SKIPPED
        return text, why

    def _nvidia(self) -> _CardValues:
        text, known, _ = asked(("pci.bus_id", *self._fields), self._asked)
        # What an older driver does not know is not asked again.
        self._fields = known[1:]
        return nvidia(text, self._fields)

    def _amd(self) -> _CardValues:
        return amd(self._addresses)

    def _ascend(self) -> _CardValues:
        return ascend(self._asked("npu-smi", "info")[0])


# Of each card by its address: metric, value, labels.
_CardValues = dict[str, list[tuple[str, float, dict[str, str]]]]


def nvidia(text: str, fields: Sequence[str]) -> _CardValues:
    """Return what nvidia-smi has answered; what a card does not say is left out."""
    found: _CardValues = {}
    for line in text.splitlines():
        if (card := row(line, ("pci.bus_id", *fields))) is None:
            continue
        address, values = card
        there = found.setdefault(address, [])
        for field in fields:
            name, labels, unit = _NVIDIA[field]
            amount = _WORDS.get(values[field], _float(values[field]))
            if amount is not None:
                there.append((name, amount * unit, labels))
    return found


def amd(addresses: Sequence[str], devices: Path = DEVICES) -> _CardValues:
    """Return what the kernel's driver says of each card in /sys."""
    found: _CardValues = {}
    for address in addresses:
        folder = devices / address
        there = found.setdefault(address, [])
        for file, name, unit in (
            ("mem_info_vram_used", "memory_used_bytes", 1.0),
            ("mem_info_vram_total", "memory_size_bytes", 1.0),
            ("gpu_busy_percent", "utilization_ratio", 0.01),
        ):
            if (value := number(read(folder / file))) is not None:
                there.append((name, value * unit, {}))
        for sensor in sorted(folder.glob("hwmon/hwmon*/temp*_input")):
            label = read(sensor.with_name(sensor.name.replace("_input", "_label"))).strip()
            if (value := number(read(sensor))) is not None and label in _SENSORS:
                there.append(("temperature_celsius", value / 1e3, {"part": _SENSORS[label]}))
        for sensor in sorted(folder.glob("hwmon/hwmon*/power1_average")):
            if (value := number(read(sensor))) is not None:
                there.append(("power_watts", value / 1e6, {}))
        # "ue: 0", "ce: 0" of its memory. Source: kernel documentation, gpu/amdgpu/ras.
        for line in read(folder / "ras/umc_err_count").splitlines():
            kind, _, count = line.partition(":")
            if (value := number(count)) is not None and kind in ("ue", "ce"):
                labels = {"kind": "uncorrected" if kind == "ue" else "corrected"}
                there.append(("ecc_errors", float(value), labels))
    return found


def ascend(text: str) -> _CardValues:
    """Return what `npu-smi info` shows; a card that is not well counts as one that is not there."""
    found: _CardValues = {}
    card: tuple[str, float, float] | None = None
    for line in text.splitlines():
        if npu := _NPU.match(line):
            card = npu[1], float(npu[2]), float(npu[3])
        elif card and (chip := _CHIP.match(line)):
            health, power, temperature = card
            used = _USAGE.findall(chip[3])[-1:]
            if health == "OK":
                found[chip[1].lower()] = [
                    ("power_watts", power, {}),
                    ("temperature_celsius", temperature, {"part": "gpu"}),
                    ("utilization_ratio", float(chip[2]) / 100, {}),
                    *(("memory_used_bytes", float(int(some) << 20), {}) for some, _ in used),
                    *(("memory_size_bytes", float(int(of) << 20), {}) for _, of in used),
                ]
            card = None
    return found


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
