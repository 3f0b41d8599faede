"""Test that the code and the test of each listed defence exist."""

import pytest

from test.attack.undefended import DEFENCES, TOP, Defence


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.name)
def test_the_code_of_a_defence_is_found_once(defence: Defence) -> None:
    assert (TOP / "annexd" / defence.file).read_text().count(defence.text) == 1


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.name)
def test_the_test_of_a_defence_exists(defence: Defence) -> None:
    tests = (TOP / "test" / defence.of).read_text().lower()
    assert [each for each in defence.test.lower().split(" and ") if each.removeprefix("not ") not in tests] == []
