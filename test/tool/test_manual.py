"""The manual pages tell of everything that there is to set."""

from __future__ import annotations

import re

import pytest

from annexd.tool.errors import MEANINGS
from annexd.tool.options import OPTIONS
from test.pool.htcondor import TOP

CONFIGURATION = (TOP / "annexd" / "daemon" / "configuration.py").read_text()


def page(name: str) -> str:
    return (TOP / "docs" / "man" / name).read_text().replace("\\-", "-")


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_in_the_manual(name: str) -> None:
    assert re.search(rf"-{name}\b(?!-)", page("condor_annex.1"))


@pytest.mark.parametrize("status", MEANINGS)
def test_every_exit_status_is_in_the_manual(status: int) -> None:
    assert f"\n.TP\n.B {status}\n" in page("condor_annex.1")


@pytest.mark.parametrize("knob", sorted(set(re.findall(r'"(ANNEXD?_[A-Z0-9_]+)"', CONFIGURATION))))
def test_every_knob_is_in_the_manual(knob: str) -> None:
    assert knob in page("condor_annexd.8")
