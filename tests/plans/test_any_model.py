"""Whether a model fits cards that nobody has here: of a hub or of the catalogue, in one command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import tiny_folder, tiny_model
from tests.lab.hub import Hub
from tests.plans.update import GROUP_DATA, ROOT

SITE = """
from dataclasses import replace
from pathlib import Path
from deploys.planning.inputs.site import GLOBAL, Site
site = Site(
    mirrors=replace(GLOBAL, modelscope={url!r}, huggingface={url!r}), locks=Path({locks!r})
)
"""
FOLDER, GGUF = "modelscope:modelrack-lab/tiny-qwen2", "modelscope:modelrack-lab/tiny-qwen2-gguf"
Ask = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    root = tmp_path_factory.mktemp("hub")
    tiny_model.publish(root)
    tiny_folder.publish(root)
    with Hub(root) as hub:
        yield hub


@pytest.fixture
def ask(hub: Hub, tmp_path: Path) -> Ask:
    """`ask("h800,cpu", "modelscope:...")` is what `make plan` runs, with that hub."""
    data = tmp_path / "group_data"
    shutil.copytree(GROUP_DATA, data)
    (data / "all.py").write_text(SITE.format(url=hub.url, locks=str(tmp_path / "locks")))
    # What a file of group data calls by that name is its own.
    for path in data.glob("[!a]*.py"):
        path.write_text(path.read_text() + "\nmodel = 'nothing'\n")

    def run(classes: str, model: str) -> subprocess.CompletedProcess[str]:
        shown = subprocess.run(
            ["make", "-n", "plan", f"CLASS={classes}", f"MODEL={model}", "-o", "setup"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        (line,) = [
            each for each in shown.stdout.replace("\\\n", "").splitlines() if "fake.py" in each
        ]
        command = line.replace(".venv/bin/pyinfra", f"{sys.executable} -m pyinfra")
        command = command.replace("inventories/group_data", str(data))
        return subprocess.run(
            ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120
        )

    return run


def test_a_model_of_a_hub_is_planned_for_and_nothing_is_written(ask: Ask, tmp_path: Path) -> None:
    done = ask("h800", FOLDER)
    assert done.returncode == 0, done.stderr
    assert f"{FOLDER} is understood as tiny-qwen2-" in done.stderr
    assert "vllm 0." in done.stdout and "GPU 0-7" in done.stdout
    assert "of 512 bytes" in done.stdout
    assert not (tmp_path / "locks").exists()


def test_another_engine_is_taken_where_that_of_the_class_does_not_read_it(ask: Ask) -> None:
    done = ask("h800", f"{GGUF}:F16")
    assert done.returncode == 0, done.stderr
    assert "llama.cpp " in done.stdout and " serves tiny-qwen2-gguf-f16-" in done.stdout


def test_without_a_model_it_is_the_plan_of_the_class(ask: Ask) -> None:
    done = ask("h800", "")
    assert done.returncode == 0, done.stderr
    assert "serves deepseek-r1-awq" in done.stdout


def test_a_model_of_the_catalogue_is_planned_for_without_a_hub(ask: Ask, hub: Hub) -> None:
    hub.requests.clear()
    done = ask("h800", "deepseek-r1-distill-llama-70b-fp8")
    assert done.returncode == 0, done.stderr
    assert "serves deepseek-r1-distill-llama-70b-fp8" in done.stdout
    assert not hub.requests


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("modelscope:nobody/nothing", "no such repository or revision"),
        ("deepseek-r1", "Choose "),
    ],
)
def test_what_cannot_be_had_is_said(ask: Ask, model: str, why: str) -> None:
    done = ask("v100", model)
    assert done.returncode == 1
    assert why in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
