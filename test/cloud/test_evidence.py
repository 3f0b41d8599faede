"""Every fact about AWS on which annexd or the emulated AWS rely has its evidence, and tests that exercise it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from test.cloud.behaviour import Behaviour
from test.cloud.recording import load
from test.live.facts import FACTS

HERE = Path(__file__).parent
TOP = HERE.parents[1]
DOUBTFUL = ("LIKELY", "SUSPECTED", "UNKNOWN")
KNOBS = {each.name for each in fields(Behaviour)}


@dataclass(frozen=True)
class Fact:
    """A row of evidence.toml, which documents its members."""

    key: str
    fact: str
    source: list[str]
    certainty: str
    emulator: list[str]
    tests: list[str]
    variants: tuple[str, ...] = ()
    harder: str = ""
    live: tuple[str, ...] = ()

    @property
    def is_doubtful(self) -> bool:
        return self.certainty in DOUBTFUL

    @property
    def knobs(self) -> set[str]:
        return KNOBS & set(self.emulator)


EVIDENCE = [Fact(**each) for each in tomllib.loads((HERE / "evidence.toml").read_text(encoding="utf-8"))["fact"]]


@pytest.mark.parametrize("fact", EVIDENCE, ids=lambda each: each.key)
def test_a_fact_has_a_source_a_certainty_and_a_place_in_the_emulator(fact: Fact) -> None:
    assert fact.certainty in ("CERTAIN", *DOUBTFUL)
    assert fact.source
    assert fact.tests
    if not fact.is_doubtful and fact.key != "lease":  # annexd's own promise
        assert any(each.startswith(("https://", "recorded")) for each in fact.source)
    places = [each for each in fact.emulator if each not in KNOBS and not each.startswith("moto's")]
    assert [each for each in places if not (HERE / each).is_file()] == []


@pytest.mark.parametrize("fact", [each for each in EVIDENCE if each.is_doubtful], ids=lambda each: each.key)
def test_a_doubtful_fact_names_its_variants_and_is_played_in_each_or_in_the_harder_one(fact: Fact) -> None:
    assert len(fact.variants) >= 2
    others = {"faults.py", "clock.py", "metadata.py"}  # where a test chooses without a knob
    assert fact.knobs or others & set(fact.emulator) or fact.harder


def test_every_knob_of_the_emulator_has_its_evidence() -> None:
    played = Counter(knob for fact in EVIDENCE for knob in fact.emulator if knob in KNOBS)
    assert KNOBS - played.keys() == set()


def test_no_fact_has_two_rows() -> None:
    assert [key for key, number in Counter(each.key for each in EVIDENCE).items() if number > 1] == []


def test_the_subject_of_each_recording_is_in_the_table() -> None:
    keys = {each.key for each in EVIDENCE} | FACTS.keys()
    assert {name: each.because for name, each in load() if each.because not in keys} == {}
    recorded = {each.because for _, each in load()}
    said = {_recorded_as(each, source) for each in EVIDENCE for source in each.source if source.startswith("recorded")}
    assert said - recorded == set()


def _recorded_as(fact: Fact, source: str) -> str:
    return source.partition("recorded: ")[2] or fact.key


def test_every_fact_that_a_rehearsal_looks_at_is_in_the_table() -> None:
    looked_at = {key for each in EVIDENCE for key in each.live}
    assert looked_at == FACTS.keys()


def _tests() -> Iterator[str]:
    yield from sorted({test for fact in EVIDENCE for test in fact.tests})


def test_every_test_of_the_table_is_one_that_runs() -> None:
    """Let pytest itself collect each test."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *_tests()]
    found = subprocess.run(command, cwd=TOP, text=True, capture_output=True, timeout=300, check=False)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-2000:]
    collected = {line.partition("[")[0] for line in found.stdout.splitlines() if "::" in line}
    assert set(_tests()) - collected == set()
