"""What a package's scripts ask before it is removed: may anything of this journal live?"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from annexd.annex.fleet.living import LIVES_ON_S
from annexd.workflow import Journal, Kind

HOUR_S = 3600
Written = tuple[str, Kind, dict[str, Any]]  # step, kind, body


def ask(journal: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "annexd.annex.remaining", str(journal)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def written(path: Path, end_s: float, *kinds: Written) -> Path:
    journal = Journal(path)
    order = {"annex_id": "annex-1", "owner": "alice@example.org", "end_of_lease_s": int(end_s)}
    journal.append("one", "", Kind.ACCEPTED, {"owner": "alice@example.org", "order": order})
    for step, kind, body in kinds:
        journal.append("one", step, kind, body)
    journal.close()
    return path


FLEET: Written = ("request_fleet", Kind.INTENT, {"client_token": "t"})
DONE: Written = ("request_fleet", Kind.DONE, {"spot_fleet_request_id": "sfr-1"})
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
    status, said = ask(written(tmp_path / "journal", end_s, *records))
    end = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(int(end_s)))
    assert (status, said) == (1, f"annex annex-1 of alice@example.org may live: its lease ends at {end}\n")


def test_an_extended_lease_counts_until_its_later_end(tmp_path: Path) -> None:
    long_ago_s = time.time() - LIVES_ON_S - HOUR_S
    path = written(tmp_path / "journal", long_ago_s, FLEET, DONE, SUCCEEDED)
    assert ask(path)[0] == 0
    journal = Journal(path)
    order = {"workflow": "change", "annex_id": "annex-1", "end_of_lease_s": int(time.time() + HOUR_S)}
    journal.append("two", "", Kind.ACCEPTED, {"owner": "alice@example.org", "order": order})
    journal.append("two", "", Kind.FINISHED, {"result": "Success", "error": ""})
    journal.close()
    assert ask(path)[0] == 1


def test_a_command_that_is_not_an_order_counts_while_it_is_unfinished(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.append("two", "", Kind.ACCEPTED, {"owner": "alice@example.org", "order": {"workflow": "cancel"}})
    journal.close()
    assert ask(tmp_path / "journal") == (1, "command two is unfinished\n")


def test_what_was_undone_or_ended_a_week_ago_counts_no_more(tmp_path: Path) -> None:
    undone = written(tmp_path / "undone", time.time() + HOUR_S, FLEET, FAILED, UNDONE, ENDED)
    assert ask(undone) == (0, "")
    over = written(tmp_path / "over", time.time() - LIVES_ON_S - HOUR_S, FLEET, DONE, SUCCEEDED)
    assert ask(over) == (0, "")


def test_a_journal_that_cannot_be_read_or_is_in_use_is_never_taken_for_empty(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"not a database at all, but long enough to look like one" * 40)
    assert ask(broken)[0] == 2
    held = Journal(tmp_path / "held")
    status, said = ask(tmp_path / "held")
    held.close()
    assert (status, "another process has it open" in said) == (2, True), said
