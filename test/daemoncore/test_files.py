"""Files that annexd writes by name: other users who can write to the directory cannot redirect it."""

import os
import time
from pathlib import Path

import pytest

from annexd.daemoncore.config.runtime_config import CannotSet, name_in
from annexd.daemoncore.process.pid_file import CannotStop, pid_file, stop_other
from annexd.daemoncore.sinful import Sinful, write_address_file

SECRET = "what somebody keeps\n"


def test_a_pid_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "other").write_text(SECRET)
    (tmp_path / "pid").symlink_to("other")
    with pid_file(tmp_path / "pid"):
        assert (tmp_path / "other").read_text() == SECRET


def test_a_pid_file_replaces_an_older_longer_one_and_is_removed_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text("99999999999999\n")
    with pid_file(tmp_path / "pid"):
        assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"
    assert not (tmp_path / "pid").exists()


def test_a_pid_file_is_not_read_through_a_link_nor_from_a_fifo(tmp_path: Path) -> None:
    (tmp_path / "other").write_text(f"{os.getpid()}\n")
    (tmp_path / "link").symlink_to("other")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo"):
        with pytest.raises(CannotStop, match="cannot stop the process in"):
            stop_other(tmp_path / name)


def test_the_address_file_is_not_written_through_a_link(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(SECRET)
    (tmp_path / "address").symlink_to("one")
    (tmp_path / "address.new").symlink_to("two")
    write_address_file(tmp_path / "address", Sinful.parse("<127.0.0.1:9618>"), "version", "platform")
    assert (tmp_path / "address").read_text().startswith("<127.0.0.1:9618>\n")
    assert [(tmp_path / name).read_text() for name in ("one", "two")] == [SECRET, SECRET]


def test_a_line_that_sets_a_knob_is_read_in_linear_time() -> None:
    """Any client can send one before it is authorized."""
    begun_s = time.thread_time()  # the load of other processes does not count
    with pytest.raises(CannotSet):
        name_in("X", f"X ={' ' * 60_000}\1")
    assert time.thread_time() - begun_s < 1
