"""The journal on a small real disk that is full or read-only.  Needs root."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from annexd.workflow import Journal, JournalError, Kind
from annexd.workflow.journal_file import RESERVE_BYTES

SIZE = RESERVE_BYTES + 6 * 2**20
PADDING = {"padding": "x" * 100_000}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def fill(path: Path, leave: int) -> Path:
    """Fill the disk except for `leave` bytes; return the file that fills it."""
    filler = path / "filler"
    done = subprocess.run(["df", "--output=avail", "-B1", path], capture_output=True, text=True, check=True)
    with filler.open("wb") as file:
        file.write(bytes(int(done.stdout.split()[1]) - leave))
    return filler


def write_on(journal: Journal) -> None:
    for _ in range(100):
        journal.append("1", "step", Kind.INTENT, PADDING)


def test_on_an_almost_full_disk_no_order_is_accepted_but_accepted_ones_can_complete(disk: Path) -> None:
    journal = Journal(disk / "command_state")
    journal.append("1", "", Kind.ACCEPTED, {})
    filler = fill(disk, RESERVE_BYTES // 2)
    with pytest.raises(
        JournalError, match=r"accepts no new requests: its disk has less than 8 MiB free.*; free some space"
    ):
        journal.append("2", "", Kind.ACCEPTED, {})
    for _ in range(20):
        journal.append("1", "step", Kind.INTENT, PADDING)
    filler.unlink()
    journal.append("2", "", Kind.ACCEPTED, {})
    journal.close()


def test_a_completely_full_disk_is_reported_and_costs_no_record(disk: Path) -> None:
    journal = Journal(disk / "command_state")
    journal.append("1", "", Kind.ACCEPTED, {})
    filler = fill(disk, 0)
    with pytest.raises(JournalError, match="the disk is full; free some space"):
        write_on(journal)
    assert "the disk is full" in journal.trouble()
    written = len(journal.history("1"))
    journal.close()
    journal = Journal(disk / "command_state")  # opens even while it is full
    assert len(journal.history("1")) == written
    filler.unlink()
    journal.probe()
    journal.append("1", "step", Kind.INTENT, PADDING)
    assert len(journal.history("1")) == written + 1
    journal.close()


def test_a_read_only_disk_is_reported_at_the_start(disk: Path) -> None:
    Journal(disk / "command_state").close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(JournalError, match=r"cannot be opened: the file or its disk is read-only; make it writable"):
        Journal(disk / "command_state")
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    Journal(disk / "command_state").close()
