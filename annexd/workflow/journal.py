"""The journal: what was promised and begun, written down before it is done.

One SQLite table of records that are never changed.  A record is durable when `append` returns (WAL,
synchronous=FULL), so an effect on AWS always has its intent on disk, and a reply its outcome.  Without it a
crash between a request and its record would leave instances that nobody knows.  This module and its archive are
the only ones that know SQLite.

It holds what lives.  What ended long ago is moved to the archive, and of a workflow that is tried again and again only
the newest tries are kept: so the start, the memory and each look cost what lives, not what ever was.

What a disk can do to it is either seen and said, or harmless: a torn tail was never confirmed; a record whose
bits flipped does not match its checksum; a file whose structure is broken, or whose log is broken in its middle,
is not opened.
"""

import errno
import json
import sqlite3
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from annexd.workflow.archive import FIELDS, SUFFIX, Archive
from annexd.workflow.journal_file import READ_ONLY, Place, sync_directory
from annexd.workflow.journal_health import JournalError, Trouble
from annexd.workflow.record import Json, Kind, Record
from annexd.workflow.wal import lost_commits

APPLICATION_ID: Final = 0x616E7864  # "anxd", so that file(1) and we can tell this file from other databases
SCHEMA_VERSION: Final = 3
SCHEMA: Final = f"""
CREATE TABLE record (seq INTEGER PRIMARY KEY AUTOINCREMENT, {FIELDS});
CREATE INDEX record_of_command ON record (command_id, seq, kind);
CREATE INDEX record_of_kind ON record (kind, seq);
CREATE TABLE archived (success INTEGER PRIMARY KEY, number INTEGER NOT NULL);
"""
CLOSE_S: Final = 5.0
DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
COLUMNS: Final = "seq, command_id, step, kind, body, at, checksum"
INSERT: Final = f"INSERT INTO record ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  constants
NEWEST: Final = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'record'"  # deleted ones count, too
COUNT_ARCHIVED: Final = """
INSERT INTO archived (success, number) VALUES (?, ?)
ON CONFLICT (success) DO UPDATE SET number = number + excluded.number
"""
LATE: Final = (Kind.CHANGED, Kind.STOPPED)  # from any thread: they may come after FINISHED, and begin nothing then
BATCH: Final = 200  # commands that are moved at once: a write of an order waits for no more


class Journal:
    """A list of records in the file at `path`, held by one process at a time, and its archive beside it.

    Thread-safe.  Every method raises JournalError, and nothing else, when the file or the disk fails.
    """

    def __init__(self, path: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self.path = path
        self._now_s = now_s
        self._lock = threading.Lock()
        self._trouble = Trouble()
        with self._explained("opened"):
            self._place = Place(path)
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
            self._floor = self._archive.newest()  # of a journal that was lost: no number comes twice
        except BaseException:
            self._database.close()
            raise

    def append(self, command_id: str, step: str, kind: Kind, body: Json) -> None:
        """Add one record; it is on the disk when this returns.

        ACCEPTED is refused while there is no room to carry an order to its end, or the file was moved away.
        """
        row = (command_id, step, kind.value, json.dumps(body), self._now_s())
        with self._lock, self._trouble.writing():
            if kind is Kind.ACCEPTED:
                self._check_room()
            with self._explained("written"):
                self._insert(row)
            if kind is Kind.FINISHED:
                self._unfinished.pop(command_id, None)
            elif kind not in LATE:
                self._unfinished.setdefault(command_id)

    def probe(self) -> None:
        """Write to the disk, without a record: does it work again?"""
        with self._lock, self._trouble.writing():
            self._check_room()
            with self._explained("written"), self._rolled_back_on_error():
                self._database.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def trouble(self) -> str:
        """Why the journal cannot be written now, as far as is known; empty when all is well.  Never waits."""
        return self._trouble.text()

    def archive_trouble(self) -> str:
        """Why the archive cannot be used; empty when all is well."""
        return self._archive.trouble

    def history(self, command_id: str) -> tuple[Record, ...]:
        """All records of one command, oldest first; also of one that was moved to the archive."""
        found = self._select("command_id = ? ORDER BY seq", command_id)
        if found:
            return found
        with self._lock:
            return tuple(map(_record, self._archive.rows_of(command_id)))

    def newer(self, command_id: str, seq: int) -> tuple[Record, ...]:
        """Its records after the one with this number; none also when it was moved to the archive."""
        return self._select("command_id = ? AND seq > ? ORDER BY seq", command_id, seq)

    def move_to_archive(self, ended: Mapping[str, bool]) -> list[str]:
        """Move commands that have finished, by ID whether they succeeded; return those that were moved."""
        moved: list[str] = []
        command_ids = list(ended)
        for first in range(0, len(command_ids), BATCH):
            with self._lock, self._trouble.writing():
                whole = self._archive.copy(command_ids[first : first + BATCH])
                with self._explained("written"), self._transaction():
                    self._delete(whole, Counter(ended[each] for each in whole))
            moved += whole
        return moved

    def archived(self) -> Counter[bool]:
        """How many commands were moved, by whether they succeeded."""
        with self._lock, self._explained("read"):
            rows = self._database.execute("SELECT success, number FROM archived").fetchall()
        return Counter({bool(success): int(number) for success, number in rows})

    def drop(self, seqs: Sequence[int]) -> None:
        """Delete records that say nothing which later ones do not say."""
        with self._lock, self._trouble.writing(), self._explained("written"), self._transaction():
            self._database.executemany("DELETE FROM record WHERE seq = ?", [(seq,) for seq in seqs])

    def of_kind(self, kind: Kind, after_seq: int = 0) -> tuple[Record, ...]:
        """The records of one kind, oldest first, after the one with this number."""
        return self._select("kind = ? AND seq > ? ORDER BY seq", kind.value, after_seq)

    def unfinished(self) -> tuple[str, ...]:
        """The IDs of the commands without a `finished` record, in the order of their first records.

        Read at the start and kept in step with each record: to look through 10,000 requests takes 40 ms.
        """
        with self._lock:
            return tuple(self._unfinished)

    def last_seq(self) -> int:
        """The number of the newest record; 0 for an empty journal."""
        with self._lock, self._explained("read"):
            return self._newest()

    def close(self) -> None:
        """Let go of the file.  Records need no closing to be durable, so a write that hangs is not waited for."""
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

    def _delete(self, command_ids: Sequence[str], counts: Mapping[bool, int]) -> None:
        self._database.executemany("DELETE FROM record WHERE command_id = ?", [(each,) for each in command_ids])
        self._database.executemany(COUNT_ARCHIVED, [(int(success), number) for success, number in counts.items()])

    def _newest(self) -> int:
        return max(self._floor, int(self._database.execute(NEWEST).fetchone()[0]))

    def _insert(self, row: tuple[str, str, str, str, float]) -> None:
        seq = self._newest() + 1
        with self._rolled_back_on_error():
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

    def _check_room(self) -> None:
        with self._explained("written"):
            self._place.check()

    def _check_log(self) -> None:
        log = self.path.with_name(f"{self.path.name}-wal")
        if log.exists() and (lost := lost_commits(log.read_bytes())):
            raise JournalError(
                f"the journal {self.path} cannot be opened",
                f"its log {log} is damaged, and {lost} records behind the damage would be lost",
                f"restore both files from a copy, or {self._start_anew}",
            )

    @property
    def _start_anew(self) -> str:
        return f"move {self.path}* away: annexd then starts with none, and takes over what it finds in AWS"

    def _check_structure(self) -> None:
        faults = [row[0] for row in self._database.execute("PRAGMA main.integrity_check(3)") if row[0] != "ok"]
        if faults:
            raise JournalError(
                f"the journal {self.path} cannot be opened",
                f"it is damaged ({'; '.join(map(str, faults))})",
                f"restore it from a copy, or {self._start_anew}",
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
                "let ANNEXD_COMMAND_STATE name another file",
            )
        elif version != SCHEMA_VERSION:
            raise JournalError(
                f"{self.path} was written by another version of annexd",
                f"its format is {version}, this annexd reads format {SCHEMA_VERSION}",
                "start the version of annexd that wrote it, or let ANNEXD_COMMAND_STATE name another file",
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
                why, next_step = f"it is damaged ({error})", f"restore it from a copy, or {self._start_anew}"
            unknown = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_FSYNC
            raise JournalError(f"the journal {self.path} cannot be {verb}", why, next_step, unknown=unknown) from error


def _checksum(seq: int, *row: Any) -> int:
    return zlib.crc32(repr((seq, *row)).encode(errors="surrogatepass"))


def _record(row: tuple[Any, ...]) -> Record:
    """One row; what cannot be read becomes a record that says so, since it must not hide the others."""
    seq, command_id, step, kind, body, at_s, checksum = row
    try:
        if checksum is not None and checksum != _checksum(*row[:-1]):
            raise ValueError("its checksum is wrong")  # noqa: TRY301  a value of the file
        return Record(seq, str(command_id), str(step), Kind(kind), _object(body), float(at_s))
    except (ValueError, TypeError, RecursionError) as error:
        return Record(seq, str(command_id), str(step), Kind.DAMAGED, {"error": f"record {seq}: {error}"}, 0.0)


def _object(text: str) -> Json:
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("its body is not a JSON object")  # noqa: TRY004  a value of the file, not a type of ours
    return body


def _explain(error: sqlite3.Error | OSError, path: Path) -> tuple[str, str]:
    """Why, and the next step."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return (
            "another process holds it",
            "end the other annexd, or give this one its own ANNEXD_COMMAND_STATE",
        )
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full", "make room; what is unfinished then goes on by itself"
    if code == sqlite3.SQLITE_READONLY or getattr(error, "errno", None) == errno.EROFS:
        return READ_ONLY
    if code == sqlite3.SQLITE_IOERR:
        return f"its disk fails ({error})", "look at the disk, its quota and the kernel's log; annexd tries it again"
    return str(error), f"check that the folder {path.parent} exists, is writable and has room"
