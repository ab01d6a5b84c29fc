"""The documentation is short, the same in both languages, and names what there is."""

from __future__ import annotations

import argparse
import importlib
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from deploys.planning.inputs.gateway import Certificate, Chat, Gateway
from deploys.planning.inputs.profile import HostProfile, Service
from deploys.planning.inputs.site import Site
from deploys.planning.models.model import Model
from deploys.planning.models.shapes import Network
from deploys.remote import weights
from tests.__main__ import TIERS
from tests.plans.update import profile_of
from tests.unit import ROOT

DOCS = ROOT / "docs"
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
ENGLISH = [READMES[0], *sorted(DOCS.glob("*.md"))]
PAGES = [*READMES, *sorted(DOCS.rglob("*.md")), CONTRIBUTING]
# What is set in a profile, and in what it is made of.
SETTINGS = (Service, Model, Network, HostProfile, Site, Gateway, Certificate, Chat)
# Inventories that are no class of machines.
OTHERS = {"lab", "local", "sandbox"}
# A comment that says of the commands below it, to the end of their block, that no test knows them.
NOT_RUN = {"# not run by a test", "# 测试不运行"}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"(?:deploys|inventories|templates|tests)/[^<>*\s]+")


# The first plan of a model writes one, the first key the other.
WRITTEN = {"deploys/locks/models/", "deploys/locks/weights.yaml", "inventories/keys.toml"}


class Accepted(Exception):
    """A program has read its arguments, and does nothing more."""


@pytest.fixture
def programs_only_read_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    read = argparse.ArgumentParser.parse_args

    def accept(parser: argparse.ArgumentParser, words: list[str] | None = None) -> None:
        read(parser, words)
        raise Accepted

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", accept)


class Block(NamedTuple):
    """What stands between two fences: commands (sh) or what a program prints (text)."""

    language: str
    text: str


def each(pages: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


def chinese(page: Path) -> Path:
    return READMES[1] if page == READMES[0] else DOCS / "zh-CN" / page.name


def blocks(page: Path) -> list[Block]:
    return [Block(*found) for found in BLOCK.findall(page.read_text())]


def prose(page: Path) -> str:
    return BLOCK.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    """What is set in code within the text."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]


def rows(page: Path) -> list[list[str]]:
    lines = re.findall(r"^\|(.*)\|$", prose(page), re.MULTILINE)
    return [[cell.strip(" `*") for cell in line.split("|")] for line in lines]


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def commands(page: Path) -> Iterator[tuple[str, bool]]:
    """Every command of a page, and whether it is said that no test knows it."""
    for block in blocks(page):
        marked = False
        lines = block.text.replace("\\\n", "").splitlines()
        for line in lines if block.language == "sh" else []:
            marked |= line in NOT_RUN
            if not line.startswith("#"):
                yield re.sub(r"\s+# .*", "", line), marked
    for span in spans(page):
        if span.startswith((".venv/bin/", "make ")):
            yield span, False


def is_known(command: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the command is of a form that is looked at here; fail if it cannot be right."""
    match shlex.split(command.rstrip("&")):
        case ["make", target, *variables]:
            assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), re.M)
            assert {name for name in variables if name.startswith("CLASS=")} <= {
                f"CLASS={name}" for name in classes()
            }
        case [".venv/bin/pyinfra", inventory, deploy, *options]:
            assert (ROOT / inventory).is_file()
            assert exists(deploy)
            assert {word for word in options if word.startswith("-")} <= options_of_pyinfra()
        case [".venv/bin/pytest", folder, *options]:
            known = (ROOT / folder / "conftest.py").read_text()
            assert all(f'"{each}"' in known for each in options if each.startswith("--"))
            assert all((ROOT / each).is_file() for each in options if each.endswith(".py"))
        case ["python3", "weights.pyz", *words]:
            with pytest.raises(Accepted):
                weights.run(words, "weights.pyz")
        case [".venv/bin/python", "-m", "tests", *tiers]:
            assert set(tiers) <= {tier.name for tier in TIERS}
        case [".venv/bin/python", "-m", name]:
            assert exists(name)
        case [".venv/bin/python", "-m", name, *words]:
            monkeypatch.setattr(sys, "argv", [name, *words])
            with pytest.raises(Accepted):
                runpy.run_module(name, run_name="__main__")
        case _:
            return False
    return True


@cache
def options_of_pyinfra() -> set[str]:
    shown = subprocess.run(
        [Path(sys.executable).with_name("pyinfra"), "--help"],
        **{"capture_output": True, "text": True, "check": True},
    )
    return set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", shown.stdout))


def exists(deploy: str) -> bool:
    """Whether there is such a file, module, or function of a module."""
    if "/" in deploy:
        return (ROOT / deploy).exists()
    try:
        importlib.import_module(deploy)
    except ModuleNotFoundError:
        module, _, name = deploy.rpartition(".")
        return hasattr(importlib.import_module(module), name)
    return True


def classes() -> set[str]:
    return {path.stem for path in (ROOT / "inventories").glob("*.py")} - OTHERS


@each(PAGES)
def test_a_page_is_short(page: Path) -> None:
    assert len(page.read_text().splitlines()) <= (120 if page in READMES else 250)


def test_every_page_is_there_in_both_languages() -> None:
    assert sorted(map(chinese, ENGLISH)) == sorted([READMES[1], *(DOCS / "zh-CN").glob("*.md")])


@each(ENGLISH)
def test_both_languages_have_the_same_parts(page: Path) -> None:
    def parts(page: Path) -> list[object]:
        """Headings, items of lists, rows of tables and their columns, blocks and their lines."""
        lines = re.findall(r"^(?:#+ |- |\d\. |\|.*\|$)", prose(page), re.MULTILINE)
        shape = [line.count("|") or line for line in lines]
        return [*shape, *((block.language, block.text.count("\n")) for block in blocks(page))]

    def names(page: Path) -> set[str]:
        return {span for span in spans(page) if "<" not in span}

    assert parts(page) == parts(chinese(page))
    assert names(page) == names(chinese(page))


@each([*PAGES, ROOT / "CHANGELOG.md"])
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", prose(page))
    for link in [link for link in links if "://" not in link]:
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@each(PAGES)
def test_every_block_says_whether_it_holds_commands(page: Path) -> None:
    assert {block.language for block in blocks(page)} <= {"sh", "text"}
    # All fences are those of blocks.
    assert "```" not in prose(page)


@each(PAGES)
@pytest.mark.usefixtures("programs_only_read_arguments")
def test_a_command_is_known_or_marked(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for command, marked in commands(page):
        try:
            known = is_known(command, monkeypatch)
        except SystemExit:
            pytest.fail(command)
        assert known or marked, command


@each(PAGES)
def test_what_is_named_is_there(page: Path) -> None:
    named = [span for span in {*spans(page)} - WRITTEN if PATH.fullmatch(span)]
    named += [span for span in spans(page) if re.fullmatch(r"deploys(\.\w+)+", span)]
    assert not [span for span in named if not exists(span)]


@each([page for page in PAGES if page != CONTRIBUTING])
def test_a_setting_is_one_that_there_is(page: Path) -> None:
    known = {each.name for kind in SETTINGS for each in fields(kind)}
    assigned = [re.match(r"(\w+)=", span) for span in spans(page)]
    assert {found[1] for found in assigned if found} <= known


@each(READMES)
def test_the_plan_in_a_readme_is_the_one_of_h800(page: Path) -> None:
    golden = (ROOT / "tests" / "plans" / "h800.txt").read_text()
    printed = golden.partition("\n\ndeploys/full.py:")[0].rstrip() + "\n"
    (shown,) = [block.text for block in blocks(page) if block.language == "text"]
    # A line with it stands for those that were left out there.
    first, *others = re.split(r"^ *…\n", shown, flags=re.MULTILINE)
    assert printed.startswith(first)
    rest = printed.removeprefix(first)
    for part in others:
        omitted, found, rest = rest.partition(part) if part else (rest, "", "")
        assert omitted, part
        assert found == part
    assert not rest


@each(READMES)
def test_the_table_of_classes_is_what_the_inventories_say(page: Path) -> None:
    table = {row[0]: row for row in rows(page) if row[0] in classes()}
    assert set(table) == classes()
    for name, (_, gpus, engine, model, port, served) in table.items():
        profile = profile_of(name)
        (service,) = profile.services
        assert (engine.lower(), model, port) == (service.engine, service.model, str(service.port))
        if profile.gpu:
            assert {f"{profile.gpus}", *profile.gpu.split()} <= set(re.split("[ ,，]+", gpus))
        refused = "\n  refused " in (ROOT / "tests" / "plans" / f"{name}.txt").read_text()
        assert served.startswith(("no", "否") if refused else ("yes", "能")), name
