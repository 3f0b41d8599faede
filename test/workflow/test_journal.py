"""The journal on a real disk: durable, exclusive, private, and complete or a prefix of itself."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from annexd.workflow import Journal, JournalError, Kind, Record, fold
from annexd.workflow.journal import SCHEMA_VERSION
from annexd.workflow.record import Ended
from test.whole import WHOLE
from test.workflow.store import Crash

BODIES: list[dict[str, object]] = [{"number": number, "text": "ä" * number} for number in range(6)]


def write(path: Path, bodies: list[dict[str, object]]) -> None:
    Journal(path).close()  # so the tables are in the file, and only records in its log
    journal = Journal(path)
    for body in bodies:
        journal.append("1", "step", Kind.INTENT, body)
    shutil.copytree(path.parent, path.parent.with_suffix(".crashed"))  # as a crash would leave it: never closed
    journal.close()


def read(path: Path) -> list[dict[str, object]]:
    journal = Journal(path)
    try:
        return [record.body for record in journal.history("1")]
    finally:
        journal.close()


def test_records_are_read_as_they_were_written(journal: Journal) -> None:
    body = {"text": 'é"\\\n\ud800', "list": [1, 2.5, None, True], "nested": {"a": {}}}
    journal.append("1", "step", Kind.INTENT, body)
    journal.append("2", "", Kind.ACCEPTED, {})
    [record] = journal.history("1")
    assert record == Record(record.seq, "1", "step", Kind.INTENT, body, record.at_s)
    assert journal.unfinished() == ("1", "2")


def test_a_finished_command_is_no_longer_unfinished(journal: Journal) -> None:
    for kind in (Kind.ACCEPTED, Kind.FINISHED):
        journal.append("1", "", kind, {})
    journal.append("2", "", Kind.ACCEPTED, {})
    assert journal.unfinished() == ("2",)
    assert [record.command_id for record in journal.of_kind(Kind.FINISHED)] == ["1"]


@pytest.mark.parametrize("step", [pytest.param(1, marks=WHOLE), 7])
def test_a_journal_cut_at_any_byte_is_a_prefix_of_itself(tmp_path: Path, step: int) -> None:
    home = tmp_path / "whole"
    home.mkdir()
    _with_small_pages(home / "journal")  # so that each byte can be tried
    write(home / "journal", BODIES[:3])
    crashed = home.with_suffix(".crashed")
    database, log = (crashed / "journal").read_bytes(), (crashed / "journal-wal").read_bytes()
    seen = set()
    for cut in [*range(0, len(log), step), len(log)]:
        (home / "journal").write_bytes(database)
        (home / "journal-wal").write_bytes(log[:cut])
        bodies = read(home / "journal")
        assert bodies == BODIES[: len(bodies)], f"cut at {cut}"
        seen.add(len(bodies))
    assert seen == {0, 1, 2, 3}


def _with_small_pages(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA page_size=512")
    database.execute("VACUUM")
    database.close()


def _copy(home: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(home, to)
    return to / "journal"


def test_a_flipped_bit_in_the_log_loses_no_confirmed_record_silently(tmp_path: Path) -> None:
    home = tmp_path / "whole"
    home.mkdir()
    write(home / "journal", BODIES)
    crashed = home.with_suffix(".crashed")
    log = (crashed / "journal-wal").read_bytes()
    refused = 0
    for at in range(0, len(log), 997):
        (crashed / "journal-wal").write_bytes(log[:at] + bytes([log[at] ^ 0x10]) + log[at + 1 :])
        copy = _copy(crashed, tmp_path / "garbled")
        try:
            bodies = read(copy)
        except JournalError as error:
            refused += 1
            assert "records after the damage would be lost" in str(error)  # noqa: PT017  it need not be raised
            assert copy.with_name("journal-wal").stat().st_size == len(log), "it is left for recovery"
        else:
            assert bodies == BODIES[: len(bodies)], f"flipped at {at}"
            assert len(bodies) >= len(BODIES) - 1, f"flipped at {at}"  # the newest could be a torn write as well
    assert refused > 5


def _damage(path: Path, text: bytes, by: bytes) -> None:
    content = path.read_bytes()
    assert content.count(text) == 1
    path.write_bytes(content.replace(text, by))


def test_a_flipped_bit_in_a_record_is_reported_in_its_history_and_hides_no_other(path: Path) -> None:
    journal = Journal(path)
    for command_id in ("1", "2"):
        journal.append(
            command_id, "", Kind.ACCEPTED, {"owner": "a", "workflow": "", "order": {"capacity": f"{command_id}00"}}
        )
    journal.close()
    _damage(path, b'"capacity": "100"', b'"capacity": "900"')
    journal = Journal(path)
    assert "checksum" in fold("1", journal.history("1")).damage
    assert not fold("2", journal.history("2")).damage
    journal.close()


def test_a_file_with_a_broken_structure_is_refused_with_the_next_step(path: Path) -> None:
    journal = Journal(path)
    journal.append("the-command", "a-step", Kind.INTENT, {})
    journal.close()
    content = path.read_bytes()
    at = content.index(b"the-commandintent")  # in an index: the record could no longer be found by it
    path.write_bytes(content[:at] + b"x" + content[at + 1 :])
    with pytest.raises(JournalError, match=r"damaged .*restore it from a backup, or move .*\* away"):
        Journal(path)


def test_a_second_process_on_the_same_file_is_refused(path: Path) -> None:
    journal = Journal(path)
    program = "import pathlib, sys, annexd.workflow as w; w.Journal(pathlib.Path(sys.argv[1]))"
    second = subprocess.run(
        [sys.executable, "-c", program, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert "another process has it open; stop the other annexd" in second.stderr
    journal.append("1", "", Kind.ACCEPTED, {})
    journal.close()
    Journal(path).close()


def test_the_file_is_readable_by_its_owner_only(path: Path) -> None:
    before = os.umask(0)
    try:
        journal = Journal(path)
        journal.append("1", "", Kind.ACCEPTED, {})
    finally:
        os.umask(before)
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    journal.close()


def test_a_file_that_others_could_read_is_made_private(path: Path) -> None:
    Journal(path).close()
    path.chmod(0o644)
    Journal(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_file_is_refused_with_the_next_step(path: Path) -> None:
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(JournalError, match=r"damaged.*move .* away"):
        Journal(path)


def test_the_file_of_a_newer_version_is_refused_and_not_touched(path: Path) -> None:
    Journal(path).close()
    _pragma(path, f"user_version={SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(JournalError, match=f"its format is {SCHEMA_VERSION + 1}"):
        Journal(path)
    assert path.read_bytes() == before


def test_somebody_elses_database_is_refused(path: Path) -> None:
    _pragma(path, "user_version=7")
    with pytest.raises(JournalError, match="not a journal of annexd"):
        Journal(path)


def _pragma(path: Path, assignment: str) -> None:
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA {assignment}")
    database.close()


def test_a_link_is_not_followed(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(JournalError, match="cannot be opened"):
        Journal(path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=f"check that the directory {tmp_path / 'none'} exists"):
        Journal(tmp_path / "none" / "journal")


def test_a_full_disk_is_an_error_of_the_one_append(journal: Journal) -> None:
    journal.append("1", "", Kind.ACCEPTED, {})
    journal._database.execute("PRAGMA max_page_count=20")
    with pytest.raises(JournalError, match="the disk is full; free some space"):
        journal.append("1", "step", Kind.INTENT, {"large": "x" * 200_000})
    journal._database.execute("PRAGMA max_page_count=100000")
    journal.append("1", "step", Kind.INTENT, {})
    assert [record.body for record in journal.history("1")] == [{}, {}]


@pytest.mark.parametrize(
    "row",
    [
        ("1", "step", "no such kind", "{}", 1.0),
        ("1", "step", "intent", "{", 1.0),
        ("1", "step", "intent", "[]", 1.0),
        ("1", "step", "intent", "[" * 100_000, 1.0),
        ("1", "step", "intent", b"\xff\xfe", 1.0),
        ("1", "step", 5, "{}", 1.0),
        ("1", b"\xff", "intent", "{}", "noon"),
    ],
)
def test_an_unreadable_record_is_reported_in_the_history_and_hides_no_other(
    journal: Journal, row: tuple[Any, ...]
) -> None:
    journal.append("1", "", Kind.ACCEPTED, {"owner": "a", "workflow": "", "order": {}})
    journal._database.execute("INSERT INTO record (command_id, step, kind, body, at) VALUES (?,?,?,?,?)", row)
    journal.append("2", "", Kind.ACCEPTED, {"owner": "a", "workflow": "", "order": {}})
    assert fold("1", journal.history("1")).damage
    assert not fold("2", journal.history("2")).damage


def test_a_command_id_that_is_not_text_stops_no_other(journal: Journal) -> None:
    columns = "command_id, step, kind, body, at"
    journal._database.execute(
        f"INSERT INTO record ({columns}) VALUES (CAST(x'ff00' AS TEXT), '', 'accepted', '{{}}', 1)"  # noqa: S608
    )
    journal.append("2", "", Kind.ACCEPTED, {})
    assert "2" in journal.unfinished()


def test_many_threads_append_at_once(journal: Journal) -> None:
    def write_some(name: str) -> None:
        for number in range(20):
            journal.append(name, "step", Kind.INTENT, {"number": number})

    workers = [threading.Thread(target=write_some, args=(str(number),)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=30)
    for number in range(8):
        assert [record.body["number"] for record in journal.history(str(number))] == list(range(20))


class TornJournal(Journal):
    """Dies between the two records of one append."""

    def _insert(self, row: tuple[str, str, str, str, float]) -> None:
        if row[2] == Kind.RESERVED.value:
            raise Crash
        super()._insert(row)


def test_an_order_and_what_it_reserves_are_written_together_or_not_at_all(path: Path) -> None:
    journal: Journal = TornJournal(path)
    with pytest.raises(Crash):
        journal.append("1", "", Kind.ACCEPTED, {}, {"amount": 1})
    journal.close()
    journal = Journal(path)
    assert journal.history("1") == ()
    journal.append("1", "", Kind.ACCEPTED, {}, {"amount": 1})
    assert [record.kind for record in journal.history("1")] == [Kind.ACCEPTED, Kind.RESERVED]
    assert journal.unfinished() == ("1",)
    journal.close()


def test_settled_costs_are_counted_once_and_outlive_their_records(path: Path) -> None:
    journal = Journal(path)
    journal.append("1", "", Kind.ACCEPTED, {"owner": "a", "workflow": "", "order": {}}, {"amount": 1})
    journal.append("1", "", Kind.FINISHED, {"result": "Success", "error": ""})
    journal.settle("1", {"spent": 5}, ["1"], {("physics", 20_000): 5, ("others", 20_000): 1})
    assert journal.of_kind(Kind.RESERVED) == ()
    assert journal.move_to_archive({"1": Ended("", True, False)}) == ["1"]
    journal.close()
    journal = Journal(path)
    assert journal.spent() == {("physics", 20_000): 5, ("others", 20_000): 1}
    assert journal.unfinished() == ()
    journal.close()
