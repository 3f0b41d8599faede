"""Test a selection of the parity suite's questions; `make parity` runs all."""

import random
from dataclasses import replace

import pytest

from test.parity.clients import FEATURES, REQUIREMENTS
from test.parity.comparison import Result, ask_all
from test.parity.daemon_pair import DaemonPair
from test.parity.known_differences import KNOWN, rows
from test.parity.matrix import Round, every_pair, short, short_ipv6

SEED = 1


@pytest.fixture(scope="module")
def result() -> Result:
    result = Result()
    with DaemonPair() as pair:
        ask_all(pair, some_of(list(short(SEED)), pair), result)
    with DaemonPair(ipv6=True) as pair:
        ask_all(pair, short_ipv6(SEED), result)
    return result


def some_of(rounds: list[Round], pair: DaemonPair) -> list[Round]:
    """Select rounds that take some seconds: all credentials and some servers, or fewer if each client is a process."""
    proofs, requirements, *servers = rounds
    if not pair.uses_tool:
        return [proofs, requirements, *servers[::2]]
    return [replace(proofs, levels=("READ",)), *(replace(each, clients=each.clients[:2]) for each in servers[::4])]


def test_annexd_answers_as_the_schedd_except_for_documented_differences(result: Result) -> None:
    assert not result.unknown, str(result)
    assert result.asked > 200


def test_documented_differences_occur(result: Result) -> None:
    assert result.documented, "no answers differ: is the same daemon asked twice?"


def test_each_known_difference_has_its_row_in_the_document() -> None:
    assert [each.row for each in KNOWN if not any(row.startswith(each.row) for row in rows())] == []


def test_the_chosen_combinations_cover_every_pair_of_requirements() -> None:
    chosen = list(every_pair(dict.fromkeys(FEATURES, REQUIREMENTS), random.Random(SEED)))  # noqa: S311
    for one, other in ((one, other) for one in FEATURES for other in FEATURES if one != other):
        assert {(each[one], each[other]) for each in chosen} == {(x, y) for x in REQUIREMENTS for y in REQUIREMENTS}
    assert len(chosen) < len(REQUIREMENTS) ** len(FEATURES) / 4
