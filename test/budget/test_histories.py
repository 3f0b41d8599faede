"""Money over time: seeded histories of a ledger with its real journal, and real kills."""

from pathlib import Path

import pytest

from test.budget.histories import History
from test.whole import WHOLE

SHORT = range(16)
LONG = range(16, 1016)


def played(home: Path, seed: int, moves: int) -> History:
    history = History(home, seed)
    history.play(moves)
    return history


def test_no_history_exceeds_a_cap_or_loses_money(tmp_path: Path) -> None:
    met = [0, 0, 0, 0, 0]
    for seed in SHORT:
        home = tmp_path / str(seed)
        home.mkdir()
        history = played(home, seed, 60)
        counts = history.accepted, history.refused, history.crashes, history.settled, history.archived
        met = [one + other for one, other in zip(met, counts, strict=True)]
    assert all(each > 10 for each in met), f"accepted, refused, crashes, settled, archived: {met}"


@WHOLE
@pytest.mark.parametrize("seed", LONG)
def test_no_long_history_exceeds_a_cap_or_loses_money(tmp_path: Path, seed: int) -> None:
    assert played(tmp_path, seed, 400).accepted
