"""List the annexes of the journals in a folder that may still live, while no annexd uses them.

    python3 -m annexd.annex.remaining FOLDER

A package's scripts run this before its removal: later nothing on the machine can read a journal, and if one with a
living annex is deleted, only the lease ends that annex.  Each annexd of a host has its own journal.
"""

import contextlib
import sys
import time
from pathlib import Path
from typing import Final

from annexd.annex.fleet.access import no_access
from annexd.annex.index import AnnexIndex, AnnexRecord
from annexd.annex.living import LIVES_ON_S
from annexd.annex.steps import StepContext, annex_steps
from annexd.annex.workflows import index_of
from annexd.workflow import Engine, Journal, JournalError
from annexd.workflow.archive import SUFFIX as ARCHIVE

EXIT_NONE, EXIT_SOME, EXIT_UNKNOWN = 0, 1, 2
BESIDE_JOURNALS: Final = (ARCHIVE, "-wal", "-shm")
LEASE_END: Final = "%Y-%m-%d %H:%M UTC"


def remaining(journal: Journal, now_s: float) -> list[str]:
    """Return a line for each annex that may live and each command that is unfinished.  Raises JournalError."""
    context = StepContext(no_access)  # no workflow runs here
    index = index_of(Engine(journal, annex_steps(context)), context)
    annexes = [one for one in index.all() if _may_live(index, one, now_s)]
    ours = {one.command_id for one in annexes}
    others = [f"command {each} is unfinished" for each in journal.unfinished() if each not in ours]
    return [_line(one, index.latest_end_s(one.annex_id)) for one in annexes] + others


def _may_live(index: AnnexIndex, annex: AnnexRecord, now_s: float) -> bool:
    state = index.engine.state(annex.command_id)
    if state.finished is None or state.damage:
        return True
    return not state.is_undone and now_s <= index.latest_end_s(annex.annex_id) + LIVES_ON_S


def _line(annex: AnnexRecord, end_s: int) -> str:
    end = time.strftime(LEASE_END, time.gmtime(end_s))
    return f"annex {annex.annex_id} of {annex.owner} may live: its lease ends at {end}"


def main() -> int:
    """Print them; the status is 0 without any, 1 with some, and 2 if a journal cannot be read."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return EXIT_UNKNOWN
    return max(map(_ask, journals(Path(sys.argv[1]))), default=EXIT_NONE)


def journals(folder: Path) -> list[Path]:
    """Return every entry but the archives and SQLite's files; one that is not a journal is reported as unreadable."""
    return sorted(path for path in folder.iterdir() if not path.name.endswith(BESIDE_JOURNALS))


def _ask(path: Path) -> int:
    try:
        with contextlib.closing(Journal(path)) as journal:
            lines = remaining(journal, time.time())
    except JournalError as error:
        print(error, file=sys.stderr)
        return EXIT_UNKNOWN
    for line in lines:
        print(line)
    return EXIT_SOME if lines else EXIT_NONE


if __name__ == "__main__":
    sys.exit(main())
