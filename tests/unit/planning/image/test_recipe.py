"""What an image is made of, by its system."""

from __future__ import annotations

import pytest

from deploys.planning.image.recipe import ALWAYS, ImageRecipe, of_bundle, recipe
from deploys.planning.inputs.refusal import Refusal


@pytest.mark.parametrize(
    "system, suite, kernel",
    [
        ("debian 12", "bookworm", "linux-image-amd64"),
        ("debian 13", "trixie", "linux-image-amd64"),
        ("ubuntu 22.04", "jammy", "linux-image-generic"),
        ("ubuntu 24.04", "noble", "linux-image-generic"),
    ],
)
def test_every_system_has_a_suite_and_a_kernel(system: str, suite: str, kernel: str) -> None:
    made = recipe("rack", system, 0)
    assert made.suite == suite
    assert kernel in made.all_packages
    assert {"shim-signed", "grub-efi-amd64-signed", "python3"} <= {*made.all_packages}


def test_another_kernel_takes_the_place_of_the_usual_one() -> None:
    made = recipe("rack", "debian 12", 0, kernel="linux-image-cloud-amd64", packages=("nvme-cli",))
    assert "linux-image-amd64" not in made.all_packages
    assert {"linux-image-cloud-amd64", "nvme-cli"} <= {*made.all_packages}


def test_repart_is_there_however_the_distribution_packs_it() -> None:
    assert "systemd-repart" in recipe("rack", "debian 13", 0).all_packages
    assert "systemd-repart" not in recipe("rack", "debian 12", 0).all_packages
    assert "systemd-resolved" not in recipe("rack", "ubuntu 22.04", 0).all_packages


def test_what_is_not_known_is_refused_with_what_is() -> None:
    with pytest.raises(Refusal, match=r"No image is made of debian 11.*debian 12"):
        recipe("rack", "debian 11", 0)
    with pytest.raises(Refusal, match="is no name for an image"):
        recipe("Rack 1", "debian 12", 0)


def test_parts_are_called_the_same_in_every_build_and_differ_between_images() -> None:
    def one(name: str) -> ImageRecipe:
        return recipe(name, "debian 12", 0)

    assert one("a").identifier("root") == one("a").identifier("root")
    names = {one(name).identifier(part) for name in "ab" for part in ("root", "esp")}
    assert len(names) == 4


def test_a_bundle_has_what_an_image_is_made_of() -> None:
    usual = {*of_bundle("debian 13", "yes", driver=False)}
    assert {*ALWAYS, *recipe("rack", "debian 13", 0).all_packages} <= usual
    assert "linux-headers-amd64" not in usual
    cloud = of_bundle("debian 12", "linux-image-cloud-amd64,nvme-cli", driver=True)
    assert {"linux-image-cloud-amd64", "linux-headers-cloud-amd64", "nvme-cli"} <= {*cloud}
    assert not {"linux-image-amd64", "yes"} & {*cloud}
    assert recipe("rack", "ubuntu 24.04", 0).system == "ubuntu 24.04 amd64"
