"""The journal: what was promised and begun, written down before it is done.

One SQLite table that is only ever appended to.  A record is durable when `append` returns (WAL,
synchronous=FULL), so an effect on AWS always has its intent on disk, and a reply its outcome.  Without it a
crash between a request and its record would leave instances that nobody knows.  This is the only module
that knows SQLite.
"""

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from annexd.workflow.record import Json, Kind, Record

APPLICATION_ID: Final = 0x616E7864  # "anxd", so that file(1) and we can tell this file from other databases
SCHEMA_VERSION: Final = 1
SCHEMA: Final = """
CREATE TABLE record (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    command_id TEXT NOT NULL,
    step       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    body       TEXT NOT NULL,
    at         REAL NOT NULL
);
CREATE INDEX record_of_command ON record (command_id, seq, kind);
CREATE INDEX record_of_kind ON record (kind, seq);
"""
COLUMNS: Final = "seq, command_id, step, kind, body, at"


class JournalError(Exception):
    """The journal cannot be used: what, why, and what an administrator does next."""

    def __init__(self, what: str, why: str, next_step: str) -> None:
        super().__init__(f"{what}: {why}; {next_step}")
        self.what, self.why, self.next_step = what, why, next_step


class Journal:
    """An append-only list of records in the file at `path`, held by one process at a time.

    Thread-safe.  Every method raises JournalError, and nothing else, when the file or the disk fails.
    """

    def __init__(self, path: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self.path = path
        self._now_s = now_s
        self._lock = threading.Lock()
        with self._explained("opened"):
            _create_private(path)
            self._database = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        self._database.text_factory = lambda text: text.decode(errors="replace")
        try:
            with self._explained("opened"):
                self._hold_alone()
                self._check_version()
        except BaseException:
            self._database.close()
            raise

    def append(self, command_id: str, step: str, kind: Kind, body: Json) -> None:
        """Add one record; it is on the disk when this returns."""
        row = (command_id, step, kind.value, json.dumps(body), self._now_s())
        with self._lock, self._explained("written"):
            self._database.execute("INSERT INTO record (command_id, step, kind, body, at) VALUES (?, ?, ?, ?, ?)", row)

    def history(self, command_id: str) -> tuple[Record, ...]:
        """All records of one command, oldest first."""
        return self._select("command_id = ? ORDER BY seq", command_id)

    def of_kind(self, kind: Kind, after_seq: int = 0) -> tuple[Record, ...]:
        """The records of one kind, oldest first, after the one with this number."""
        return self._select("kind = ? AND seq > ? ORDER BY seq", kind.value, after_seq)

    def unfinished(self) -> tuple[str, ...]:
        """The IDs of the commands without a `finished` record, in the order of their first records."""
        with self._lock, self._explained("read"):
            rows = self._database.execute(
                "SELECT command_id FROM record GROUP BY command_id HAVING sum(kind = ?) = 0 ORDER BY min(seq)",
                (Kind.FINISHED.value,),
            ).fetchall()
        return tuple(str(row[0]) for row in rows)

    def last_seq(self) -> int:
        """The number of the newest record; 0 for an empty journal."""
        with self._lock, self._explained("read"):
            row = self._database.execute("SELECT coalesce(max(seq), 0) FROM record").fetchone()
        return int(row[0])

    def close(self) -> None:
        """Let go of the file.  Records need no closing to be durable."""
        with self._lock:
            self._database.close()

    def _select(self, where: str, *values: str | int) -> tuple[Record, ...]:
        with self._lock, self._explained("read"):
            rows = self._database.execute(
                f"SELECT {COLUMNS} FROM record WHERE {where}",  # noqa: S608  constants of this file
                values,
            ).fetchall()
        return tuple(_record(row) for row in rows)

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
        _sync_directory(self.path.parent)

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
            raise JournalError(f"the journal {self.path} cannot be {verb}", why, next_step) from error


def _record(row: tuple[Any, ...]) -> Record:
    """One row; what cannot be read becomes a record that says so, since it must not hide the others."""
    seq, command_id, step, kind, body, at_s = row
    try:
        return Record(seq, str(command_id), str(step), Kind(kind), _object(body), float(at_s))
    except (ValueError, TypeError, RecursionError) as error:
        return Record(seq, str(command_id), str(step), Kind.DAMAGED, {"error": f"record {seq}: {error}"}, 0.0)


def _object(text: str) -> Json:
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError("its body is not a JSON object")  # noqa: TRY004  a value of the file, not a type of ours
    return body


def _create_private(path: Path) -> None:
    """Make the file, readable by its owner only: it holds user data.  SQLite copies the mode."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _explain(error: sqlite3.Error | OSError, path: Path) -> tuple[str, str]:
    """Why, and the next step."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return (
            "another process holds it",
            "end the other annexd, or give this one its own ANNEXD_COMMAND_STATE",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return (
            f"it is damaged ({error})",
            f"move {path}* away, and look in AWS for what has the tag htcondor:annex-id",
        )
    if code == sqlite3.SQLITE_FULL:
        return "the disk is full", "make room; what is unfinished then goes on by itself"
    return str(error), f"check that the folder {path.parent} exists, is writable and has room"
