"""Test Spot Fleet files from public places: the expected request reaches AWS, or the user gets the right messages."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from test.annex.conftest import deployed, site
from test.annex.site import Site
from test.wild.driver import TOP, Outcome, order, set_up, tags_of, with_templates, without_the_leases_own
from test.wild.expectation import CONFIGS, Case, cases

__all__ = ["deployed", "site"]  # the fixtures of annexd's own tests

CASES = list(cases())
OURS = {"htcondor:annex-id", "htcondor:annex-owner", "htcondor:annex-lease-end"}
UNTIL = re.compile(r"until \S+ only")


@pytest.fixture
def annexd(site: Site) -> Iterator[Site]:
    """Provide an annexd that -setup has prepared."""
    with set_up(site):
        yield site


@pytest.mark.parametrize("case", CASES, ids=[f"{case.file[:-5]}: {case.name}" for case in CASES])
def test_required_members_reach_aws_or_the_user_gets_a_message(case: Case, annexd: Site, tmp_path: Path) -> None:
    text = with_templates(annexd, case.text)
    file = tmp_path / "config.json"
    file.write_text(text, encoding="utf-8")
    outcome = order(annexd, file, *case.options)
    assert [UNTIL.sub("until VALID-UNTIL only", wording) for wording in _of(tmp_path, outcome.notes)] == list(
        case.notes
    )
    assert (outcome.by, *_of(tmp_path, [outcome.message])) == (case.by, case.refused)
    if case.sent is None:
        assert annexd.live_fleets() == []
    else:
        _check_fleet(outcome, case.sent.config(text))


def _of(folder: Path, wording: list[str]) -> list[str]:
    return [each.replace(f"{folder}/", "") for each in wording]


def _check_fleet(outcome: Outcome, expected: Mapping[str, Any]) -> None:
    assert outcome.fleet is not None
    assert str(outcome.fleet["ClientToken"]).startswith(f"{outcome.annex_id}_")
    assert outcome.fleet["ValidUntil"]
    for holder in (outcome.fleet, *outcome.fleet.get("LaunchSpecifications", ())):
        assert tags_of(holder) >= OURS
    assert without_the_leases_own(outcome.fleet) == expected


def test_every_file_has_a_source_and_an_expectation() -> None:
    files = {path.name.partition(".")[0] for path in CONFIGS.iterdir()}
    assert len(files) == 44
    for name in files:
        assert {f"{name}{end}" for end in (".json", ".source.txt", ".expected.json")} <= _names(name)
    assert {case.file.removesuffix(".json") for case in CASES} == files
    assert all(bool(case.refused) != (case.sent is not None) for case in CASES)


def _names(name: str) -> set[str]:
    return {path.name for path in CONFIGS.glob(f"{name}.*")}


def test_the_example_works_right_after_setup_and_nothing_is_to_be_said(annexd: Site) -> None:
    outcome = order(annexd, TOP / "templates" / "config.json")
    assert (outcome.notes, outcome.by, outcome.message) == ([], "", "")
    example = json.loads((TOP / "templates" / "config.json").read_text(encoding="utf-8"))
    _check_filled(outcome, example)


def _check_filled(outcome: Outcome, example: Mapping[str, Any]) -> None:
    assert outcome.fleet is not None
    sent = without_the_leases_own(outcome.fleet)
    assert {name: sent[name] for name in example if name != "LaunchSpecifications"} == {
        name: value for name, value in example.items() if name != "LaunchSpecifications"
    }
    for specification, given in zip(sent["LaunchSpecifications"], example["LaunchSpecifications"], strict=True):
        assert specification.items() >= given.items()
        assert specification.keys() - given.keys() == {"IamInstanceProfile", "SecurityGroups"}
