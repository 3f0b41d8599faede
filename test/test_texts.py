"""README and docs are short, have no broken links, and show only commands that exist."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from annexd.tool.command_line import full_name, is_option
from test.pool import find
from test.texts import EDGE, FENCE, PAGES, README, TOP, commands, fenced

LONGEST_README = 120
OURS = {"condor_annex", "condor_annexd"}
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
DECLARED = re.compile(r"^ *(?:actor|participant) (\w+)", re.MULTILINE)
MESSAGE = re.compile(r"^ *(\w+)-{1,2}>>(\w+): \S", re.MULTILINE)
NODE = re.compile(r"\b(\w+)(?:\[[^\]]+\]|\[\([^)]+\)\])")


def name_of(page: Path) -> str:
    return page.name


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub generates for the page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(page.read_text().replace("](\n", "](")) if "://" not in link]


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(README.read_text().splitlines()) <= LONGEST_README


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_to_a_heading_of_it(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_reached_from_the_readme() -> None:
    reached, left = {README}, [README]
    while left:
        page = left.pop()
        found = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        new = {target for target in found if target.suffix == ".md"} - reached
        reached |= new
        left += new
    assert set(PAGES) <= reached


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_of_our_programs_in_a_command_exists(page: Path) -> None:
    for words in commands(page):
        if Path(words[0]).name == "condor_annex":
            faults: list[str] = []
            given = [full_name(word.partition("=")[0], faults) for word in words[1:] if is_option(word)]
            assert not faults, (words, given)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_is_a_program_of_htcondor_a_target_of_make_or_a_file_of_ours(page: Path) -> None:
    for words in commands(page):
        name = words[0]
        if re.fullmatch(r"condor_[a-z_]+", name) and name not in OURS and len(words) > 1 and words[1] != "=":
            assert find("25").executable(name).exists(), words
        elif name == "make":
            assert {word for word in words[1:] if "=" not in word} <= TARGETS, words
        elif name.startswith(("templates/", "bin/", "config.d/")):
            assert (TOP / name).exists(), words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_generator_in_a_command_prints_a_document(page: Path) -> None:
    for words in commands(page):
        made_of_files = "templates/generate-prices"  # test/system/test_quote.py runs it
        found = (word for word in words if word.startswith("templates/generate-") and word != made_of_files)
        if generator := next(found, None):
            after = words[words.index(generator) + 1 :]
            done = subprocess.run([sys.executable, generator, *after], cwd=TOP, capture_output=True, check=True)
            assert json.loads(done.stdout), words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_of_the_checkout_that_a_command_names_is_there(page: Path) -> None:
    for words in commands(page):
        for word in words[1:]:
            path = word.removeprefix("file://")
            if re.match(r"(templates|config\.d|bin|docs|lambda)/", path):
                assert (TOP / path).exists(), words


@pytest.mark.parametrize("page", [page for page in PAGES if fenced(page, "mermaid")], ids=name_of)
def test_a_diagram_draws_only_what_it_names(page: Path) -> None:
    for diagram in fenced(page, "mermaid"):
        sequence = diagram.startswith("sequenceDiagram\n")
        assert sequence or re.match(r"flowchart (LR|TD)\n", diagram)
        named = set((DECLARED if sequence else NODE).findall(diagram))
        drawn = (MESSAGE if sequence else EDGE).findall(diagram)
        assert drawn
        ends = {each for pair in drawn for each in pair}
        assert named == ends if sequence else named <= ends
