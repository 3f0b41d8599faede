"""Test that the man pages describe every option and knob, and no others."""

from __future__ import annotations

import itertools
import re

import pytest

from annexd.service import misspelled_knobs
from annexd.tool.errors import MEANINGS
from annexd.tool.options import OPTIONS
from test.pool.htcondor import TOP

KNOB = re.compile(r'"(ANNEXD?_[A-Z0-9_]+)"')
LISTED = TOP / "annexd" / "service" / "misspelled_knobs.py"  # repeats their names
CODE = "".join(path.read_text() for path in sorted((TOP / "annexd").rglob("*.py")) if path != LISTED)
OF_EVERY_DAEMON = re.compile(r'(?:knob|own_integer)\(\s*"([A-Z_]+)"')  # daemoncore puts ANNEXD_ before it
NO_KNOBS = {"ANNEXD_EU_WEST_1", "ANNEX_HONEST"}  # a local name, and a macro of config.d/80annex-machines
KNOBS = sorted({*KNOB.findall(CODE), *(f"ANNEXD_{name}" for name in OF_EVERY_DAEMON.findall(CODE))} - NO_KNOBS)
NUMBER = re.compile(r'\.integer\(\s*"(ANNEXD?_[A-Z0-9_]+)", (\d+)[,)]')
OWN_NUMBER = re.compile(r'(?:\.own_integer\(\s*|\.integer\(knob\()"([A-Z_]+)"\)?, (\d+)[,)]')
OF_HTCONDOR = {  # knobs of ours that HTCondor's own code reads, with the same meaning for every daemon
    "ANNEXD_ADDRESS_FILE",
    "ANNEXD_ARGS",
    "ANNEXD_CLASSAD_USER_MAP_NAMES",
    "ANNEXD_DEBUG",
    "ANNEXD_ENVIRONMENT",
    "ANNEXD_LOG",
}
NOT_READ = {"ANNEX_DEFAULT_CWE_URL"}  # the manual says so


def page(name: str) -> str:
    return (TOP / "docs" / "man" / name).read_text().replace("\\-", "-").replace("\\fR", "").replace("\\fP", "")


def headings(name: str) -> str:
    """Return the lines that begin an entry, as text."""
    lines = page(name).splitlines()
    return "\n".join(line for before, line in itertools.pairwise(lines) if before == ".TP")


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_in_the_manual(name: str) -> None:
    assert re.search(rf"-{name}\b(?!-)", headings("condor_annex.1"))


def test_every_option_in_the_manual_exists() -> None:
    named = set(re.findall(r"(?<![\w-])-([a-z][a-z0-9-]+)", headings("condor_annex.1")))
    assert named - set(OPTIONS) == set()


@pytest.mark.parametrize("status", MEANINGS)
def test_every_exit_status_is_in_the_manual(status: int) -> None:
    assert f"\n.TP\n.B {status}\n" in page("condor_annex.1")


@pytest.mark.parametrize("knob", KNOBS)
def test_every_knob_is_in_the_manual(knob: str) -> None:
    assert knob in page("condor_annexd.8")


def test_every_knob_is_known_where_misspelled_ones_are_warned_of() -> None:
    groups = {knob for knob in KNOBS if knob.startswith("ANNEX_BUDGET_NAME_")}
    assert (set(KNOBS) - groups) | OF_HTCONDOR == misspelled_knobs.KNOBS


def test_no_knob_is_in_the_manual_that_nothing_reads() -> None:
    named = set(re.findall(r"\bANNEXD?_[A-Z0-9_]+\b", page("condor_annexd.8")))
    assert named - set(KNOBS) - OF_HTCONDOR - NOT_READ == set()


@pytest.mark.parametrize(
    ("knob", "default"),
    sorted([*NUMBER.findall(CODE), *((f"ANNEXD_{name}", number) for name, number in OWN_NUMBER.findall(CODE))]),
)
def test_the_default_of_a_number_is_in_its_entry(knob: str, default: str) -> None:
    [entry] = [each for each in page("condor_annexd.8").split("\n.TP\n") if re.match(rf"\.B .*\b{knob}\b", each)]
    assert re.search(rf"\b{default}\b", entry), entry
