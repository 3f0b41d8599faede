"""The check that a package's scripts run before its removal: may anything of these journals still live?"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from annexd.annex.index import CANCEL, CHANGE
from annexd.annex.living import LIVES_ON_S
from annexd.annex.request.order import Order
from annexd.annex.steps.request_fleet import FleetIntent, FleetRequested
from annexd.workflow import Journal, Kind, to_json
from test.annex.ads import OWNER
from test.annex.orders import cancel_order, change_order, fleet_order

HOUR_S = 3600
Written = tuple[str, Kind, dict[str, Any]]  # step, kind, body


def ask(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "annexd.annex.remaining", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def accepted(journal: Journal, command_id: str, workflow: str, order: Order) -> None:
    body = {"owner": OWNER, "workflow": workflow, "order": to_json(order), "asked": ""}
    journal.append(command_id, "", Kind.ACCEPTED, body)


def written(path: Path, end_s: float, *kinds: Written) -> Path:
    journal = Journal(path)
    accepted(journal, "one", "", fleet_order("annex-1", int(end_s)))
    for step, kind, body in kinds:
        journal.append("one", step, kind, body)
    journal.close()
    return path


FLEET: Written = ("request_fleet", Kind.INTENT, to_json(FleetIntent("t", 1, 2, 3.0)))
DONE: Written = ("request_fleet", Kind.DONE, to_json(FleetRequested("sfr-1")))
UNDONE: Written = ("request_fleet", Kind.UNDONE, {})
FAILED: Written = ("request_fleet", Kind.FAILED, {"result": "Failure", "error": "denied"})
SUCCEEDED: Written = ("", Kind.FINISHED, {"result": "Success", "error": ""})
ENDED: Written = ("", Kind.FINISHED, {"result": "Failure", "error": "denied"})


@pytest.mark.parametrize(
    "records", [(FLEET,), (FLEET, DONE, SUCCEEDED), (FLEET, FAILED, ENDED)], ids=["under way", "leased", "given up"]
)
def test_an_annex_that_may_live_is_named_with_the_end_of_its_lease(
    tmp_path: Path, records: tuple[Written, ...]
) -> None:
    end_s = time.time() + HOUR_S
    status, said = ask(written(tmp_path / "journal", end_s, *records).parent)
    end = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(int(end_s)))
    assert (status, said) == (1, f"annex annex-1 of alice@example.org may live: its lease ends at {end}\n")


def test_an_extended_lease_counts_until_its_later_end(tmp_path: Path) -> None:
    long_ago_s = time.time() - LIVES_ON_S - HOUR_S
    path = written(tmp_path / "journal", long_ago_s, FLEET, DONE, SUCCEEDED)
    assert ask(tmp_path)[0] == 0
    journal = Journal(path)
    accepted(journal, "two", CHANGE, change_order(fleet_order("annex-1", int(long_ago_s)), int(time.time() + HOUR_S)))
    journal.append("two", "", Kind.FINISHED, {"result": "Success", "error": ""})
    journal.close()
    assert ask(tmp_path)[0] == 1


def test_a_command_that_is_not_an_order_counts_while_it_is_unfinished(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    accepted(journal, "two", CANCEL, cancel_order(fleet_order()))
    journal.close()
    assert ask(tmp_path) == (1, "command two is unfinished\n")


def test_annexes_undone_or_ended_a_week_ago_do_not_count(tmp_path: Path) -> None:
    written(tmp_path / "undone", time.time() + HOUR_S, FLEET, FAILED, UNDONE, ENDED)
    written(tmp_path / "over", time.time() - LIVES_ON_S - HOUR_S, FLEET, DONE, SUCCEEDED)
    assert ask(tmp_path) == (0, "")


def test_every_journal_of_the_folder_counts_and_what_lies_beside_one_is_not_taken_for_one(tmp_path: Path) -> None:
    assert ask(tmp_path) == (0, "")
    Journal(tmp_path / "annexd_command_state").close()
    written(tmp_path / "annexd_command_state.eu-west-1", time.time() + HOUR_S, FLEET, DONE, SUCCEEDED)
    for beside in ("-wal", "-shm", ".archive-wal", ".archive-shm"):
        (tmp_path / f"annexd_command_state{beside}").touch()
    assert (tmp_path / "annexd_command_state.archive").exists()
    status, said = ask(tmp_path)
    assert (status, said.splitlines()[0].partition(":")[0]) == (1, "annex annex-1 of alice@example.org may live")


def test_a_journal_that_cannot_be_read_or_is_in_use_is_never_taken_for_empty(tmp_path: Path) -> None:
    living = written(tmp_path / "journal", time.time() + HOUR_S, FLEET, DONE, SUCCEEDED)
    held = Journal(living)
    status, said = ask(tmp_path)
    held.close()
    assert (status, "another process has it open" in said) == (2, True), said
    (tmp_path / "broken").write_bytes(b"not a database at all, but long enough to look like one" * 40)
    status, said = ask(tmp_path)
    assert (status, "annex annex-1" in said) == (2, True), said
