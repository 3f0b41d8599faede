"""The journal: a durable record of accepted orders and begun steps, written before they take effect.

It is one SQLite table of records that are never changed.  A record is durable when `append` returns (WAL,
synchronous=FULL), so every effect on AWS has its intent on disk, and every reply its outcome.  Without the journal, a
crash between a call and its record would leave unknown instances.  Only this module and the archive use SQLite.

Requests that ended long ago move to the archive, and of a workflow that is retried many times only the newest attempts
are kept.  So start, memory and look-ups scale with unfinished requests, not with history.

Disk damage is either detected and reported, or harmless.  A torn tail was never confirmed.  A record with flipped bits
does not match its checksum.  A file with a broken structure, or with a log broken in its middle, is not opened.
"""

import errno
import json
import sqlite3
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from annexd.workflow.archive import FIELDS, SUFFIX, Archive
from annexd.workflow.journal_file import READ_ONLY, JournalFile, sync_directory
from annexd.workflow.journal_health import JournalError, JournalHealth
from annexd.workflow.record import Ended, Json, Kind, Record
from annexd.workflow.wal import lost_commits

APPLICATION_ID: Final = 0x616E7864  # "anxd", so that file(1) and we recognize this file among databases
SCHEMA_VERSION: Final = 6
SCHEMA: Final = f"""
CREATE TABLE record (seq INTEGER PRIMARY KEY AUTOINCREMENT, {FIELDS});
CREATE INDEX record_of_command ON record (command_id, seq, kind);
CREATE INDEX record_of_kind ON record (kind, seq);
CREATE TABLE archived (
    workflow TEXT NOT NULL, success INTEGER NOT NULL, may_be_left INTEGER NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (workflow, success, may_be_left)
);
CREATE TABLE spent (name TEXT NOT NULL, day INTEGER NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (name, day));
"""
CLOSE_S: Final = 5.0
DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
COLUMNS: Final = "seq, command_id, step, kind, body, at, checksum"
INSERT: Final = f"INSERT INTO record ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  constants
NEWEST: Final = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'record'"  # including deleted records
COUNT_ARCHIVED: Final = """
INSERT INTO archived (workflow, success, may_be_left, number) VALUES (?, ?, ?, ?)
ON CONFLICT (workflow, success, may_be_left) DO UPDATE SET number = number + excluded.number
"""
ADD_SPENT: Final = """
INSERT INTO spent (name, day, amount) VALUES (?, ?, ?)
ON CONFLICT (name, day) DO UPDATE SET amount = amount + excluded.amount
"""
LATE: Final = (
    Kind.CHANGED,
    Kind.STOPPED,
    Kind.USAGE,
    Kind.SETTLED,
)  # may follow FINISHED, from another thread, and then changes no step
BATCH: Final = 200  # commands per move, during which writes of orders wait


class Journal:
    """The records in the file at `path`, which only one process can open, and the archive beside it.

    Thread-safe.  Every method raises JournalError, and nothing else, if the file or the disk fails.
    """

    def __init__(
        self,
        path: Path,
        *,
        now_s: Callable[[], float] = time.time,
        written: Callable[[str, str, Kind, Json], None] = lambda *_: None,
    ) -> None:
        self.path = path
        self._now_s, self._observe = now_s, written
        self._lock = threading.Lock()
        self._health = JournalHealth()
        with self._explained("opened"):
            self._file = JournalFile(path)
            self._check_log()
            self._database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        self._database.text_factory = lambda text: text.decode(errors="replace")
        try:
            with self._explained("opened"):
                self._hold_alone()
                self._check_version()
                self._check_structure()
                self._unfinished = dict.fromkeys(self._read_unfinished())
            name = path.with_name(f"{path.name}{SUFFIX}")
            self._archive = Archive(self._database, name, APPLICATION_ID, SCHEMA_VERSION)
            self._floor = self._archive.newest()  # so that no number is used twice after the loss of the journal
        except BaseException:
            self._database.close()
            raise

    def append(self, command_id: str, step: str, kind: Kind, body: Json, reserved: Json | None = None) -> None:
        """Add one record; it is on disk when this returns, with a RESERVED record of what it has `reserved`.

        ACCEPTED is refused if there is too little disk space to complete an order, or if the file was moved away.
        """
        rows = [(command_id, step, kind.value, json.dumps(body), self._now_s())]
        if reserved is not None:
            rows.append((command_id, "", Kind.RESERVED.value, json.dumps(reserved), self._now_s()))
        with self._lock, self._health.writing():
            if kind is Kind.ACCEPTED:
                self._check_space()
            with self._explained("written"):
                self._insert_all(rows)
            if kind is Kind.FINISHED:
                self._unfinished.pop(command_id, None)
            elif kind not in LATE:
                self._unfinished.setdefault(command_id)
        self._observe(command_id, step, kind, body)

    def probe(self) -> None:
        """Test whether the disk can be written, without adding a record."""
        with self._lock, self._health.writing():
            self._check_space()
            with self._explained("written"), self._rolled_back_on_error():
                self._database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def trouble(self) -> str:
        """Return why the journal cannot be written, as far as is known, or "".  Never blocks."""
        return self._health.text()

    def archive_trouble(self) -> str:
        """Return why the archive cannot be used, or ""."""
        return self._archive.trouble

    def history(self, command_id: str) -> tuple[Record, ...]:
        """Return all records of one command, oldest first, from the journal or the archive."""
        found = self._select("command_id = ? ORDER BY seq", command_id)
        if found:
            return found
        with self._lock:
            return tuple(map(_record, self._archive.rows_of(command_id)))

    def newer(self, command_id: str, seq: int) -> tuple[Record, ...]:
        """Return a request's records after the one with this number; none also if it was moved to the archive."""
        return self._select("command_id = ? AND seq > ? ORDER BY seq", command_id, seq)

    def move_to_archive(self, ended: Mapping[str, Ended]) -> list[str]:
        """Move finished commands, given with how they ended, to the archive; return the IDs of those moved."""
        moved: list[str] = []
        command_ids = list(ended)
        for first in range(0, len(command_ids), BATCH):
            with self._lock, self._health.writing():
                whole = self._archive.copy(command_ids[first : first + BATCH])
                with self._explained("written"), self._transaction():
                    self._delete(whole, Counter(ended[each] for each in whole))
            moved += whole
        return moved

    def archived(self) -> Counter[Ended]:
        """Count the archived commands by how they ended."""
        with self._lock, self._explained("read"):
            rows = self._database.execute("SELECT workflow, success, may_be_left, number FROM archived").fetchall()
        return Counter(
            {Ended(str(name), bool(success), bool(left)): int(number) for name, success, left, number in rows}
        )

    def size(self) -> tuple[int, int]:
        """Return the number of its records and of the bytes of its file and log, without those of the archive."""
        with self._lock, self._explained("read"):
            records = int(self._database.execute("SELECT count(*) FROM record").fetchone()[0])
        return records, sum(each.stat().st_size for each in self._files() if each.exists())

    def _files(self) -> tuple[Path, Path]:
        return self.path, self.path.with_name(f"{self.path.name}-wal")

    def drop(self, seqs: Sequence[int]) -> None:
        """Delete superfluous records (see pruning)."""
        with self._lock, self._health.writing(), self._explained("written"), self._transaction():
            self._database.executemany("DELETE FROM record WHERE seq = ?", [(seq,) for seq in seqs])

    def settle(
        self, command_id: str, body: Json, settled: Collection[str], spent: Mapping[tuple[str, int], int]
    ) -> None:
        """Add a SETTLED record, remove the reservations of the `settled` commands, and add to the spent amounts, by
        name and day, atomically.
        """
        row = (command_id, "", Kind.SETTLED.value, json.dumps(body), self._now_s())
        with self._lock, self._health.writing(), self._explained("written"), self._transaction():
            self._insert(row)
            self._database.executemany(
                "DELETE FROM record WHERE command_id = ? AND kind = ?",
                [(each, Kind.RESERVED.value) for each in settled],
            )
            self._database.executemany(ADD_SPENT, [(*key, amount) for key, amount in spent.items()])
        self._observe(command_id, "", Kind.SETTLED, body)

    def spent(self) -> dict[tuple[str, int], int]:
        """Return the spent amounts, by name and day, including archived commands."""
        with self._lock, self._explained("read"):
            rows = self._database.execute("SELECT name, day, amount FROM spent").fetchall()
        return {(str(name), int(day)): int(amount) for name, day, amount in rows}

    def of_kind(self, kind: Kind, after_seq: int = 0) -> tuple[Record, ...]:
        """Return the records of one kind after this number, oldest first."""
        return self._select("kind = ? AND seq > ? ORDER BY seq", kind.value, after_seq)

    def before(self, kind: Kind, before_seq: int, limit: int) -> list[Record]:
        """Return records of one kind before this number, the newest first, from journal and archive."""
        live = self._select("kind = ? AND seq < ? ORDER BY seq DESC LIMIT ?", kind.value, before_seq, limit)
        with self._lock:
            archived = tuple(map(_record, self._archive.rows_of_kind(kind.value, before_seq, limit)))
        both = {record.seq: record for record in (*archived, *live)}  # a crash may have left a record in both
        return [both[seq] for seq in sorted(both, reverse=True)[:limit]]

    def unfinished(self) -> tuple[str, ...]:
        """Return the IDs of the commands without a `finished` record, in the order of their first records.

        They are read at the start and updated with each record: a search of 10,000 requests takes 40 ms.
        """
        with self._lock:
            return tuple(self._unfinished)

    def last_seq(self) -> int:
        """Return the number of the newest record; 0 for an empty journal."""
        with self._lock, self._explained("read"):
            return self._newest()

    def close(self) -> None:
        """Close the file.  A write that hangs is not waited for: records are durable without closing."""
        if self._lock.acquire(timeout=CLOSE_S):
            try:
                self._database.close()
            finally:
                self._lock.release()

    def _read_unfinished(self) -> list[str]:
        rows = self._database.execute(
            "SELECT command_id FROM record GROUP BY command_id HAVING sum(kind = ?) = 0 ORDER BY min(seq)",
            (Kind.FINISHED.value,),
        ).fetchall()
        return [str(row[0]) for row in rows]

    def _select(self, where: str, *values: str | int) -> tuple[Record, ...]:
        with self._lock, self._explained("read"):
            rows = self._database.execute(
                f"SELECT {COLUMNS} FROM record WHERE {where}",  # noqa: S608  constants of this file
                values,
            ).fetchall()
        return tuple(_record(row) for row in rows)

    def _delete(self, command_ids: Sequence[str], counts: Mapping[Ended, int]) -> None:
        self._database.executemany("DELETE FROM record WHERE command_id = ?", [(each,) for each in command_ids])
        self._database.executemany(COUNT_ARCHIVED, [(*each, number) for each, number in counts.items()])

    def _newest(self) -> int:
        return max(self._floor, int(self._database.execute(NEWEST).fetchone()[0]))

    def _insert_all(self, rows: Sequence[tuple[str, str, str, str, float]]) -> None:
        if len(rows) == 1:
            with self._rolled_back_on_error():
                self._insert(rows[0])
            return
        with self._transaction():
            for row in rows:
                self._insert(row)

    def _insert(self, row: tuple[str, str, str, str, float]) -> None:
        seq = self._newest() + 1
        self._database.execute(INSERT, (seq, *row, _checksum(seq, *row)))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._rolled_back_on_error():
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")

    @contextmanager
    def _rolled_back_on_error(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error:
            if self._database.in_transaction:
                self._database.rollback()
            raise

    def _check_space(self) -> None:
        with self._explained("written"):
            self._file.check()

    def _check_log(self) -> None:
        log = self.path.with_name(f"{self.path.name}-wal")
        if log.exists() and (lost := lost_commits(log.read_bytes())):
            raise JournalError(
                f"the journal {self.path} cannot be opened",
                f"its log {log} is damaged, and {lost} records after the damage would be lost",
                f"restore both files from a backup, or {self._start_empty}",
            )

    @property
    def _start_empty(self) -> str:
        return f"move {self.path}* away: annexd then starts with an empty journal and takes over what it finds in AWS"

    def _check_structure(self) -> None:
        faults = [row[0] for row in self._database.execute("PRAGMA main.integrity_check(3)") if row[0] != "ok"]
        if faults:
            raise JournalError(
                f"the journal {self.path} cannot be opened",
                f"it is damaged ({'; '.join(map(str, faults))})",
                f"restore it from a backup, or {self._start_empty}",
            )

    def _hold_alone(self) -> None:
        execute = self._database.execute
        execute("PRAGMA locking_mode=EXCLUSIVE")  # before the first access: then WAL needs no shared memory
        execute("PRAGMA journal_mode=WAL")
        execute("PRAGMA synchronous=FULL")
        execute("BEGIN EXCLUSIVE")
        execute("COMMIT")

    def _check_version(self) -> None:
        application_id = self._pragma("application_id")
        version = self._pragma("user_version")
        if application_id == 0 and version == 0 and self._is_empty():
            self._create()
        elif application_id != APPLICATION_ID:
            raise JournalError(
                f"{self.path} is not a journal of annexd",
                f"its application_id is {application_id:#x}, not {APPLICATION_ID:#x}",
                "set ANNEXD_COMMAND_STATE to another file",
            )
        elif version != SCHEMA_VERSION:
            raise JournalError(
                f"{self.path} was written by another version of annexd",
                f"its format is {version}, but this annexd reads format {SCHEMA_VERSION}",
                "start the version of annexd that wrote it, or set ANNEXD_COMMAND_STATE to another file",
            )

    def _create(self) -> None:
        self._database.executescript(
            f"BEGIN; {SCHEMA} PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={SCHEMA_VERSION}; COMMIT;"
        )
        sync_directory(self.path.parent)

    def _pragma(self, name: str) -> int:
        return int(self._database.execute(f"PRAGMA {name}").fetchone()[0])

    def _is_empty(self) -> bool:
        return self._database.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone() is None

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            why, next_step = _explain(error, self.path)
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED:
                why, next_step = f"it is damaged ({error})", f"restore it from a backup, or {self._start_empty}"
            unknown = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_FSYNC
            raise JournalError(f"the journal {self.path} cannot be {verb}", why, next_step, unknown=unknown) from error


def _checksum(seq: int, *row: Any) -> int:
    return zlib.crc32(repr((seq, *row)).encode(errors="surrogatepass"))


def _record(row: tuple[Any, ...]) -> Record:
    """Return the record of a row; an unreadable row becomes a DAMAGED record, so that it does not hide others."""
    seq, command_id, step, kind, body, at_s, checksum = row
    try:
        if checksum is not None and checksum != _checksum(*row[:-1]):
            raise ValueError("its checksum is wrong")  # noqa: TRY301  a value in the file
        return Record(seq, str(command_id), str(step), Kind(kind), _object(body), float(at_s))
    except (ValueError, TypeError, RecursionError) as error:
        return Record(seq, str(command_id), str(step), Kind.DAMAGED, {"error": f"record {seq}: {error}"}, 0.0)


def _object(text: str) -> Json:
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("its body is not a JSON object")  # noqa: TRY004  a value in the file, not a Python type
    return body


def _explain(error: sqlite3.Error | OSError, path: Path) -> tuple[str, str]:
    """Return the reason and the next step."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return (
            "another process has it open",
            "stop the other annexd, or set another ANNEXD_COMMAND_STATE for this one",
        )
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full", "free some space; unfinished requests then continue by themselves"
    if code == sqlite3.SQLITE_READONLY or getattr(error, "errno", None) == errno.EROFS:
        return READ_ONLY
    if code == sqlite3.SQLITE_IOERR:
        return f"its disk fails ({error})", "check the disk, its quota and the kernel log; annexd will retry"
    return str(error), f"check that the directory {path.parent} exists, is writable and has free space"
