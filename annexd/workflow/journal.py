"""The journal: what was promised and begun, written down before it is done.

One SQLite table that is only ever appended to.  A record is durable when `append` returns (WAL,
synchronous=FULL), so an effect on AWS always has its intent on disk, and a reply its outcome.  Without it a
crash between a request and its record would leave instances that nobody knows.  This is the only module
that knows SQLite.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from annexd.workflow.place import READ_ONLY, Place, sync_directory
from annexd.workflow.record import Json, Kind, Record
from annexd.workflow.trouble import JournalError, Trouble
from annexd.workflow.wal import lost_commits

APPLICATION_ID: Final = 0x616E7864  # "anxd", so that file(1) and we can tell this file from other databases
SCHEMA_VERSION: Final = 2  # 1 had no checksums
SCHEMA: Final = """
CREATE TABLE record (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    command_id TEXT NOT NULL,
    step       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    body       TEXT NOT NULL,
    at         REAL NOT NULL,
    checksum   INTEGER
);
CREATE INDEX record_of_command ON record (command_id, seq, kind);
CREATE INDEX record_of_kind ON record (kind, seq);
"""
CLOSE_S: Final = 5.0
DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
COLUMNS: Final = "seq, command_id, step, kind, body, at, checksum"
INSERT: Final = f"INSERT INTO record ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608  constants
UPGRADE_FROM_1: Final = "BEGIN; ALTER TABLE record ADD COLUMN checksum INTEGER; PRAGMA user_version=2; COMMIT;"


class Journal:
    """An append-only list of records in the file at `path`, held by one process at a time.

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
            else:
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

    def history(self, command_id: str) -> tuple[Record, ...]:
        """All records of one command, oldest first."""
        return self._select("command_id = ? ORDER BY seq", command_id)

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

    def _newest(self) -> int:
        return int(self._database.execute("SELECT coalesce(max(seq), 0) FROM record").fetchone()[0])

    def _insert(self, row: tuple[str, str, str, str, float]) -> None:
        seq = self._newest() + 1
        with self._rolled_back_on_error():
            self._database.execute(INSERT, (seq, *row, _checksum(seq, *row)))

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
        faults = [row[0] for row in self._database.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
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
        elif version == 1:
            self._database.executescript(UPGRADE_FROM_1)
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
            raise JournalError(
                f"the journal {self.path} cannot be {verb}", why, next_step, unknown=unknown
            ) from error


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
