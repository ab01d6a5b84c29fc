"""Partitions as systemd-repart reads them, and their sizes."""

from __future__ import annotations

import configparser

import pytest

from deploys.planning.image import partitions
from deploys.planning.image.partitions import MIB, Partition
from deploys.planning.image.recipe import WeightsPlace, recipe

MODELS = "/data/models"


def parts(place: WeightsPlace, weights: int | None = None) -> list[Partition]:
    made = recipe("rack", "debian 12", 0, weights=place)
    return partitions.of_image(made, 1024 * MIB, weights, MODELS)


def read(part: Partition) -> configparser.SectionProxy:
    # CopyFiles= may be there several times: of those the first.
    found = configparser.RawConfigParser(strict=False)
    found.optionxform = str  # type: ignore[method-assign, assignment]
    found.read_string(part.definition())
    return found["Partition"]


@pytest.mark.parametrize(
    "place, weights, names",
    [
        ("root", None, ["esp", "root"]),
        ("partition", 64 * MIB, ["esp", "weights", "root"]),
        ("disk", None, ["esp", "root"]),
    ],
)
def test_the_root_is_last_as_it_grows(
    place: WeightsPlace, weights: int | None, names: list[str]
) -> None:
    assert [part.name for part in parts(place, weights)] == names


def test_weights_are_in_one_place_alone() -> None:
    assert "ExcludeFiles" not in parts("root")[-1].definition()
    assert read(parts("disk")[-1])["ExcludeFiles"] == "/tree/data/models/"
    _, weights, root = parts("partition", 64 * MIB)
    assert read(weights)["CopyFiles"] == "/tree/data/models:/"
    assert read(root)["ExcludeFiles"] == "/tree/data/models/"


def test_what_firmware_reads_is_copied_block_by_block() -> None:
    esp = read(parts("root")[0])
    assert (esp["Type"], esp["CopyBlocks"]) == ("esp", "/made/esp.img")
    assert "Format" not in esp


def test_a_size_depends_on_the_files_alone_and_has_room_for_them() -> None:
    files = [0, 1, 4096, 4097, 300 * MIB]
    needed = partitions.needed(files)
    assert needed % (64 * MIB) == 0
    assert needed > sum(files) + 100 * MIB
    assert needed == partitions.needed(reversed(files))


def test_the_disk_holds_all_of_them() -> None:
    made = parts("partition", 64 * MIB)
    assert partitions.disk_size(made) > sum(part.size for part in made)


def test_the_file_system_is_found_by_what_repart_calls_it() -> None:
    """As systemd-repart 257 has called it on a disk."""
    part = Partition(
        name="root",
        type="root",
        size=0,
        source="/tree",
        uuid="7d7eaa09-8387-5729-9c8a-0145fb30d997",
    )
    assert str(part.file_system) == "f143dee0-9213-45ab-aaab-5caff37159a9"


def test_what_the_boot_loader_reads_is_in_the_root() -> None:
    """repart leaves the content of /boot out where there is a partition for UEFI."""
    definition = parts("root")[-1].definition()
    assert "CopyFiles=/tree:/\n" in definition and "CopyFiles=/tree/boot:/boot\n" in definition
