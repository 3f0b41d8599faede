"""The archive: records of requests that ended long ago, in a second file, so that the journal stays small.

A move commits a copy to the archive and then deletes from the journal.  A crash in between leaves both, and the next
move continues from there.  The archive is attached to the journal's connection.  If it fails, nothing is moved and the
journal works without it, since it holds no unfinished request.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from annexd.workflow.journal_file import JournalFile

SUFFIX: Final = ".archive"
FIELDS: Final = """
    command_id TEXT NOT NULL,
    step       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    body       TEXT NOT NULL,
    at         REAL NOT NULL,
    checksum   INTEGER
"""  # of a record after its number, in both journal and archive
SCHEMA: Final = f"""
CREATE TABLE archive.record (seq INTEGER PRIMARY KEY, {FIELDS});
CREATE INDEX archive.record_of_command ON record (command_id, seq);
CREATE INDEX archive.record_of_kind ON record (kind, seq);
"""
COPY: Final = "INSERT OR IGNORE INTO archive.record SELECT * FROM main.record WHERE command_id = ?"
MISSING: Final = """
SELECT count(*) FROM main.record AS live LEFT JOIN archive.record AS kept ON kept.seq = live.seq
WHERE live.command_id = ? AND kept.checksum IS NOT live.checksum
"""


class Archive:
    """The file at `path`, created if needed.  `trouble` says why it cannot be used, or is empty."""

    def __init__(self, database: sqlite3.Connection, path: Path, application_id: int, version: int) -> None:
        self.path, self.trouble = path, ""
        self._database, self._is_valid = database, False
        try:
            JournalFile(path)
            database.execute("ATTACH DATABASE ? AS archive", (str(path),))
            database.execute("PRAGMA archive.journal_mode=WAL")
            database.execute("PRAGMA archive.synchronous=FULL")
            self._check(application_id, version)
            self._is_valid = True
        except (sqlite3.Error, OSError, ValueError) as error:
            self._fail(error)

    def newest(self) -> int:
        """Return the number of the newest record, or 0."""
        rows = self._read("SELECT coalesce(max(seq), 0) FROM archive.record")
        return int(rows[0][0]) if rows else 0

    def rows_of(self, command_id: str) -> list[tuple[Any, ...]]:
        """Return the rows of one command, oldest first; none while the file cannot be read."""
        return self._read("SELECT * FROM archive.record WHERE command_id = ? ORDER BY seq", command_id)

    def rows_of_kind(self, kind: str, before_seq: int, limit: int) -> list[tuple[Any, ...]]:
        """Return rows of one kind before this number, the newest first; none while the file cannot be read."""
        query = "SELECT * FROM archive.record WHERE kind = ? AND seq < ? ORDER BY seq DESC LIMIT ?"
        return self._read(query, kind, before_seq, limit)

    def copy(self, command_ids: Sequence[str]) -> list[str]:
        """Copy all records of these commands durably; return the commands that are now complete in the archive.

        Nothing is ever written if the file was not a valid archive at the start.
        """
        if not self._is_valid:
            return []
        try:
            self._database.execute("BEGIN IMMEDIATE")
            for command_id in command_ids:
                self._database.execute(COPY, (command_id,))
            self._database.execute("COMMIT")
            whole = [each for each in command_ids if not self._database.execute(MISSING, (each,)).fetchone()[0]]
        except sqlite3.Error as error:
            if self._database.in_transaction:
                self._database.rollback()
            self._fail(error)
            return []
        self.trouble = "" if len(whole) == len(command_ids) else f"{self.path} belongs to another journal: move it away"
        return whole

    def _check(self, application_id: int, version: int) -> None:
        execute = self._database.execute
        if execute("SELECT 1 FROM archive.sqlite_schema LIMIT 1").fetchone() is None:
            marks = f"PRAGMA archive.application_id={application_id}; PRAGMA archive.user_version={version};"
            self._database.executescript(f"BEGIN; {SCHEMA} {marks} COMMIT;")
            return
        found = [int(execute(f"PRAGMA archive.{name}").fetchone()[0]) for name in ("application_id", "user_version")]
        if found != [application_id, version]:
            raise ValueError(f"it is not an archive of this version of annexd (application_id, version: {found})")

    def _read(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        if not self._is_valid:
            return []
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self._fail(error)
            return []

    def _fail(self, error: Exception) -> None:
        self.trouble = f"the archive {self.path} cannot be used: {error}; the journal grows until this is fixed"
