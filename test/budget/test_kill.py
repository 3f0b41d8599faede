"""A real kill -9 while 64 threads order: the journal never exceeds the budget by a micro-dollar."""

import subprocess
import sys
from pathlib import Path

import pytest

from annexd.annex.reservations import Rules
from annexd.workflow import Journal, Kind
from test.budget.orderer import BUDGET, RATE, ROOM
from test.budget.steps import Runs, engine_of, reservations_of

TOP = Path(__file__).resolve().parents[2]


def kill_after(path: Path, accepted: int) -> None:
    """Kill the process once it has reported this many accepted orders, or wait for its end."""
    command = [sys.executable, "-m", "test.budget.orderer", str(path)]
    with subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for number, _ in enumerate(process.stdout, 1):
            if number == accepted:
                process.kill()


def reserved(path: Path) -> tuple[int, set[str], set[str]]:
    """Return the journal's reserved money, the commands with a reservation, and the accepted commands."""
    journal = Journal(path)
    try:
        runs = Runs()
        _, reservations = reservations_of(engine_of(journal, runs), runs, Rules((BUDGET,)))
        [account] = reservations.accounts(runs.now_s)
        holding, accepted = (
            {each.command_id for each in journal.of_kind(kind)} for kind in (Kind.RESERVED, Kind.ACCEPTED)
        )
        return account.reserved.money, holding, accepted
    finally:
        journal.close()


@pytest.mark.parametrize("kills", [[1, 3, 17], [7, 7, 7]])
def test_kills_under_load_never_exceed_a_budget_and_lose_no_room(tmp_path: Path, kills: list[int]) -> None:
    path = tmp_path / "command_state"
    for accepted in kills:
        kill_after(path, accepted)
        money, holding, orders = reserved(path)
        assert holding == orders
        assert money == len(orders) * RATE
        assert accepted <= len(orders) <= ROOM
    kill_after(path, ROOM + 1)
    money, _, orders = reserved(path)
    assert (len(orders), money) == (ROOM, ROOM * RATE)
