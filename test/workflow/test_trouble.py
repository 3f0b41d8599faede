"""A disk fails while annexd runs: nothing is lost, the reason is reported, and annexd continues by itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from annexd.workflow import Engine, Journal, JournalError, Json, Kind
from annexd.workflow.journal_health import SLOW_S, JournalHealth
from test.workflow import disk
from test.workflow.store import OWNER, Store, Thing, engine, steps

ORDER = Thing("x", "p" * 20_000)  # larger than the free space that SQLite keeps in its files
SYNC_FAILS = """
import json, sys
from pathlib import Path
from annexd.workflow import Journal, JournalError, Kind
from test.workflow import disk
journal = Journal(Path(sys.argv[1]))
journal.append("1", "", Kind.ACCEPTED, {})
disk.fail_every_sync()
try:
    journal.append("2", "", Kind.ACCEPTED, {})
except JournalError as error:
    print(json.dumps([error.unknown, journal.trouble(), journal.unfinished()]))
"""


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def test_on_a_full_disk_an_order_is_refused_with_the_reason_and_accepted_once_space_is_free(
    journal: Journal, store: Store
) -> None:
    annexes = engine(journal, store)
    annexes.accept("1", OWNER, Thing("x"))
    with disk.full(log_of(journal.path)):
        with pytest.raises(JournalError, match=r"cannot be written: its disk fails .*annexd will retry"):
            annexes.accept("2", OWNER, ORDER)
        assert "its disk fails" in journal.trouble()
        assert annexes.unfinished() == ("1",), "what is there can be read"
        with pytest.raises(JournalError):
            journal.probe()
    journal.probe()
    assert journal.trouble() == ""
    annexes.accept("2", OWNER, ORDER)
    assert [annexes.run(command_id).result for command_id in ("1", "2")] == ["Success", "Success"]


@pytest.mark.parametrize("records", range(12))
def test_a_disk_full_at_any_record_stops_the_order_and_it_completes_once_space_is_free(
    path: Path, store: Store, records: int
) -> None:
    journal = FillingJournal(path, records, now_s=store.clock)
    annexes = Engine(journal, steps(store), now_s=store.clock, wait=store.wait)
    try:
        annexes.accept("1", OWNER, Thing("x"))
        annexes.run("1")
    except JournalError:
        assert not store.billed_without_lease
    journal.make_room()
    if annexes.unfinished():
        annexes.run("1")
    accepted = annexes.find("1", OWNER)
    assert accepted is None or accepted.finished == ("Success", "")
    assert len(store.things) == (0 if accepted is None else 3)
    journal.close()


class FillingJournal(Journal):
    """A journal whose disk is full after this many records, until space is freed."""

    def __init__(self, path: Path, records: int, **more: object) -> None:
        super().__init__(path, **more)  # type: ignore[arg-type]
        self._left: float = records

    def append(self, command_id: str, step: str, kind: Kind, body: Json, reserved: Json | None = None) -> None:
        self._left -= 1
        if self._left >= 0:
            super().append(command_id, step, kind, body, reserved)
            return
        with disk.full(log_of(self.path)):
            super().append(command_id, step, kind, {**body, "padding": ORDER.padding})

    def make_room(self) -> None:
        self._left = float("inf")


def test_a_record_that_the_disk_does_not_confirm_is_unknown(path: Path) -> None:
    top = Path(__file__).resolve().parents[2]
    child = subprocess.run(
        [sys.executable, "-c", SYNC_FAILS, str(path)], cwd=top, env={**os.environ, "PYTHONPATH": str(top)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert child.stdout.startswith("[true, "), child.stderr
    assert '["1"]]' in child.stdout
    journal = Journal(path)
    assert set(journal.unfinished()) in ({"1"}, {"1", "2"})  # so it is unknown
    journal.close()


def test_a_removed_journal_accepts_no_order_but_accepted_ones_continue(journal: Journal, store: Store) -> None:
    annexes = engine(journal, store)
    annexes.accept("1", OWNER, Thing("x"))
    aside = journal.path.rename(journal.path.with_name("aside"))
    with pytest.raises(JournalError, match=r"is missing: the file was moved.*; move it back, or restart"):
        annexes.accept("2", OWNER, Thing("y"))
    assert "is missing" in journal.trouble()
    assert annexes.run("1").result == "Success"
    aside.rename(journal.path)
    journal.probe()
    assert journal.trouble() == ""


def test_an_unwritable_journal_is_named_at_the_start(path: Path) -> None:
    path.mkdir()
    with pytest.raises(JournalError, match=f"the journal {path} cannot be opened"):
        Journal(path)


def test_a_hanging_write_is_reported_while_it_hangs() -> None:
    now_s = 0.0
    trouble = JournalHealth(lambda: now_s)
    with trouble.writing():
        now_s = SLOW_S
        assert trouble.text() == ""
        now_s = SLOW_S + 1
        assert "has been hanging for 11 s" in trouble.text()
    assert trouble.text() == ""
