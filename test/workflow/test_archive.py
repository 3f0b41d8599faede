"""Ended requests move to the archive completely, despite crashes; a year of retries does not pile up records."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from annexd.workflow import Engine, Journal, Kind, Refused, Retry, RetryPolicy, State
from annexd.workflow.pruning import MAX_RECORDS
from test.whole import WHOLE
from test.workflow.store import OWNER, Store, Thing, engine

YEAR_S = 365 * 86400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "command_state"


@contextmanager
def opened(path: Path, store: Store, **more: Any) -> Iterator[tuple[Journal, Engine]]:
    journal = Journal(path, now_s=store.clock)
    try:
        yield journal, engine(journal, store, **more)
    finally:
        journal.close()


def ordered(one: Engine, command_ids: list[str]) -> None:
    for command_id in command_ids:
        one.accept(command_id, OWNER, Thing(command_id), asked=f"asked of {command_id}")
        one.run(command_id)


def everything(_: State, __: float) -> bool:
    return True


def histories(path: Path, store: Store, command_ids: list[str]) -> dict[str, list[Any]]:
    with opened(path, store) as (journal, _):
        return {each: list(journal.history(each)) for each in command_ids}


COMMANDS = ["1", "2", "3"]


def test_archived_requests_are_answered_as_before_and_cost_the_journal_nothing(path: Path) -> None:
    store = Store()
    with opened(path, store) as (journal, one):
        ordered(one, COMMANDS)
        before = {each: one.state(each) for each in COMMANDS}
        counts = one.counts()
        assert one.move_to_archive(everything) == COMMANDS
        assert journal.of_kind(Kind.ACCEPTED) == ()
        assert {each: one.state(each) for each in COMMANDS} == before
    with opened(path, store) as (_, one):
        assert {each: one.state(each) for each in COMMANDS} == before, "also after a restart"
        assert one.counts() == counts
        assert one.accept("2", OWNER, Thing("other")).order == Thing("2"), "the same ID orders nothing again"
        assert one.counts() == counts


def test_only_ended_requests_are_moved(path: Path) -> None:
    store = Store()
    with opened(path, store) as (journal, one):
        ordered(one, ["1", "2"])
        one.accept("under way", OWNER, Thing("x"))
        assert one.move_to_archive(lambda state, _: state.command_id == "1") == ["1"]
        assert [record.command_id for record in journal.of_kind(Kind.ACCEPTED)] == ["2", "under way"]
        assert one.unfinished() == ("under way",)


def test_no_record_number_is_used_twice(path: Path) -> None:
    store = Store()
    with opened(path, store) as (journal, one):
        ordered(one, ["1"])
        newest = journal.last_seq()
        one.move_to_archive(everything)
        assert journal.last_seq() == newest
    path.unlink()
    with opened(path, store) as (journal, one):
        assert journal.last_seq() == newest, "nor after the journal was lost"
        ordered(one, ["2"])
        assert one.move_to_archive(everything) == ["2"]
        assert one.state("1").finished == one.state("2").finished


class Died(Exception):
    """The process ended here."""


class DyingConnection:
    """A connection to SQLite that dies before or after one of its statements."""

    def __init__(self, connection: sqlite3.Connection, at: int, *, after: bool) -> None:
        self._connection, self._at, self._after = connection, at, after
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, *arguments: Any) -> Any:
        return self._counted(lambda: self._connection.execute(*arguments))

    def executemany(self, *arguments: Any) -> Any:
        return self._counted(lambda: self._connection.executemany(*arguments))

    def _counted(self, call: Callable[[], Any]) -> Any:
        self.count += 1
        if self.count == self._at and not self._after:
            raise Died
        answer = call()
        if self.count == self._at:
            raise Died
        return answer


def die_while_moving(journal: Journal, one: Engine, at: int, *, after: bool) -> int:
    """Move everything, and die at this statement; return the number of statements if it was not reached."""
    dying = DyingConnection(journal._database, at, after=after)
    journal._database = journal._archive._database = dying  # type: ignore[assignment]
    one.move_to_archive(everything)
    return dying.count


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_statement_of_a_move_loses_and_duplicates_nothing(tmp_path: Path, after: bool) -> None:
    store, path = Store(), tmp_path / "whole" / "command_state"
    path.parent.mkdir()
    with opened(path, store) as (_, one):
        ordered(one, COMMANDS)
        counts = one.counts()
    before = histories(path, store, COMMANDS)
    shutil.copytree(path.parent, tmp_path / "counted")
    with opened(tmp_path / "counted" / "command_state", store) as (journal, one):
        statements = die_while_moving(journal, one, 0, after=after)
    assert statements > 5
    for at in range(1, statements + 1):
        crashed = tmp_path / f"{at}" / "command_state"
        shutil.copytree(path.parent, crashed.parent)
        journal = Journal(crashed, now_s=store.clock)
        with pytest.raises(Died):
            die_while_moving(journal, engine(journal, store), at, after=after)
        left = tmp_path / f"{at}-left"
        shutil.copytree(crashed.parent, left)  # as a crash leaves it: nothing was closed or rolled back
        assert histories(left / "command_state", store, COMMANDS) == before, f"statement {at}"
        with opened(left / "command_state", store) as (_, one):
            assert one.counts() == counts
            one.move_to_archive(everything)
            assert one.counts() == counts
        assert histories(left / "command_state", store, COMMANDS) == before


@pytest.mark.parametrize("content", [b"this is no database" * 300, b"", None], ids=["damaged", "empty", "a folder"])
def test_an_unusable_archive_does_not_prevent_new_orders(path: Path, content: bytes | None) -> None:
    archive = path.with_name("command_state.archive")
    archive.mkdir() if content is None else archive.write_bytes(content)
    store = Store()
    with opened(path, store) as (journal, one):
        ordered(one, ["1"])
        moved = one.move_to_archive(everything)
        assert bool(moved) == (journal.archive_trouble() == "") == (content == b"")
        assert one.run("1").result == "Success"


def test_an_archive_of_another_version_is_not_changed(path: Path) -> None:
    store = Store()
    with opened(path, store):
        pass
    with closing(sqlite3.connect(path.with_name("command_state.archive"))) as database:
        database.execute("PRAGMA user_version=99")
    with opened(path, store) as (journal, one):
        ordered(one, ["1"])
        assert one.move_to_archive(everything) == []
        assert "not an archive of this version of annexd" in journal.archive_trouble()
        assert one.state("1").finished == ("Success", "")


@pytest.mark.parametrize("seconds", [pytest.param(YEAR_S, marks=WHOLE), YEAR_S / 52])
def test_a_workflow_stuck_for_long_has_a_bounded_number_of_records(path: Path, seconds: float) -> None:
    pace = RetryPolicy(base_s=0.01, stuck_base_s=15.0)
    script: dict[str, list[BaseException | None]] = {
        "fleet forward after": [Refused("a fault")],
        "fleet backward before": [Refused("no keys")] * 30_000,
    }
    store = Store(script=script)
    with opened(path, store, pace=pace) as (journal, one):
        one.accept("1", OWNER, Thing("1"))
        began_s = store.now_s
        while (outcome := one.run("1")).retry_at_s is not None and store.now_s < began_s + seconds:
            store.now_s = outcome.retry_at_s
        assert len(journal.history("1")) <= MAX_RECORDS
        assert one.state("1").stuck_steps[0].stuck_error.endswith("no keys")
        script["fleet backward before"].clear()
        store.now_s += 86400
        assert one.run("1").retry_at_s is None
    assert store.things == set()


def test_a_call_of_unknown_effect_is_undone_after_any_number_of_retries(path: Path) -> None:
    script: dict[str, list[BaseException | None]] = {
        "fleet forward after": [Retry("lost")],
        "fleet forward before": [None, *[Retry("throttled", untouched=True)] * 50, Refused("denied", untouched=True)],
        "fleet backward before": [Refused("no keys")] * 400,
    }
    store = Store(script=script)
    with opened(path, store, pace=RetryPolicy(base_s=0.001, forward_deadline_s=1e9, max_attempts=1000)) as (_, one):
        one.accept("1", OWNER, Thing("1"))
        while (outcome := one.run("1")).retry_at_s is not None:
            store.now_s = outcome.retry_at_s
    assert store.things == set()
