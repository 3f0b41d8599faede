"""A path in a request is opened with the requester's own rights only."""

import os
import pwd
from pathlib import Path

import pytest

from annexd.service.requester_files import MAX_BYTES, MAX_FILES, MAX_FOLDER_BYTES, CannotRead, RequesterFiles

ME = pwd.getpwuid(os.geteuid()).pw_name
FILES = RequesterFiles("annex.test")


def key_file(directory: Path, mode: int = 0o600, content: bytes = b"AKIA") -> str:
    path = directory / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_the_requesters_own_private_file_is_read(tmp_path: Path) -> None:
    assert FILES.read(f"{ME}@annex.test", key_file(tmp_path)) == b"AKIA"
    assert FILES.read(f"{ME}@ANNEX.TEST", key_file(tmp_path)) == b"AKIA"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_may_read_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    with pytest.raises(CannotRead, match="chmod 600"):
        FILES.read(f"{ME}@annex.test", key_file(tmp_path, mode))


def test_a_link_a_directory_and_a_fifo_are_refused_at_once(tmp_path: Path) -> None:
    key_file(tmp_path)
    (tmp_path / "link").symlink_to("key")
    os.mkfifo(tmp_path / "fifo", 0o600)
    for name in ("link", "fifo", "."):
        with pytest.raises(CannotRead):
            FILES.read(f"{ME}@annex.test", str(tmp_path / name))


def test_a_file_of_another_user_is_refused() -> None:
    with pytest.raises(CannotRead, match=r"is not owned by the requester|cannot be opened"):
        FILES.read(f"{ME}@annex.test", "/etc/hostname" if ME != "root" else "/proc/1/nothing")


def test_a_relative_a_broken_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    for path in ("key", "", "/nowhere/key", "/x\0y"):
        with pytest.raises(CannotRead):
            FILES.read(f"{ME}@annex.test", path)
    with pytest.raises(CannotRead, match="larger than"):
        FILES.read(f"{ME}@annex.test", key_file(tmp_path, content=b"x" * (MAX_BYTES + 1)))


@pytest.mark.parametrize("owner", ["condor@family", "nobodyhere@annex.test", "nodomain", ME, "@", f"{ME}@other.site"])
def test_a_user_without_an_account_on_this_host_reads_nothing(tmp_path: Path, owner: str) -> None:
    with pytest.raises(CannotRead, match="account"):
        FILES.read(owner, key_file(tmp_path))


@pytest.mark.parametrize("user", ["a\0b", "\ud800", "x" * 5000, "../root"])
def test_an_invalid_account_name_is_refused_with_a_message(tmp_path: Path, user: str) -> None:
    for read in (FILES.read, FILES.read_folder):
        with pytest.raises(CannotRead, match="no account on this host"):
            read(f"{user}@annex.test", str(tmp_path))


# The files of a folder.


def folder(directory: Path) -> Path:
    made = directory / "config"
    made.mkdir()
    (made / "10-a.conf").write_bytes(b"A = 1\n")
    (made / "20-b.conf").write_bytes(b"\xff\x00")
    return made


def test_a_folders_files_are_read_by_name(tmp_path: Path) -> None:
    made = folder(tmp_path)
    assert FILES.read_folder(f"{ME}@annex.test", str(made)) == {"10-a.conf": b"A = 1\n", "20-b.conf": b"\xff\x00"}


def test_everything_in_a_folder_that_is_not_a_regular_file_is_named(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "link").symlink_to("/etc/passwd")
    (made / "folder").mkdir()
    os.mkfifo(made / "fifo")
    with pytest.raises(CannotRead) as caught:
        FILES.read_folder(f"{ME}@annex.test", str(made))
    for expected in (
        "'link': Too many levels of symbolic links",
        "'folder': is not a regular file",
        "'fifo': is not a regular file",
    ):
        assert expected in str(caught.value)


def test_too_many_and_too_large_files_are_refused(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "big").write_bytes(b"x" * (MAX_FOLDER_BYTES + 1))
    with pytest.raises(CannotRead, match="'big': exceeds the limit of"):
        FILES.read_folder(f"{ME}@annex.test", str(made))
    for number in range(MAX_FILES + 1):
        (made / f"{number}").touch()
    with pytest.raises(CannotRead, match=rf"the limit is {MAX_FILES}"):
        FILES.read_folder(f"{ME}@annex.test", str(made))


@pytest.mark.parametrize("path", ["config", "", "/nowhere", "/etc/hostname", "/x\0y"])
def test_a_path_that_is_not_a_folder_is_refused(path: str) -> None:
    with pytest.raises(CannotRead):
        FILES.read_folder(f"{ME}@annex.test", path)
