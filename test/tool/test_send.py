"""Test progress messages of a slow command."""

import os
import re
from collections.abc import Callable, Iterable

import pytest

from annexd.tool import send, show
from annexd.tool.attempt import Attempt, Child
from annexd.tool.options import ToolOptions


def test_a_slow_answer_is_waited_for_with_progress_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The order is complete after the second message."""
    over, end, said, notes = *os.pipe(), list[str](), show.notes

    def begin(_options: ToolOptions, _ad: object, _whom: str | None, *, explain: bool) -> Child:
        def task(write: Callable[[object], None]) -> None:
            write("annexd@host")
            os.read(over, 1)
            write(Attempt({"Result": "Success"}, explain, 0, ()))

        return Child(task)

    def noted(lines: Iterable[str]) -> None:
        said.extend(lines)
        notes(said[-1:])
        if len(said) == 2:
            os.write(end, b".")

    monkeypatch.setattr(send, "begin", begin)
    monkeypatch.setattr(show, "notes", noted)
    monkeypatch.setattr(send, "FIRST_WORD_S", 0.1)
    monkeypatch.setattr(send, "NEXT_WORD_S", 0.1)
    command = send.SentCommand(ToolOptions(), {"Command": "CA_BULK_REQUEST", "CommandID": "alice-1"}, [])
    assert command.answer()["Result"] == "Success"
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) > 1
    assert all(
        re.fullmatch(r"condor_annex: waiting for annexd's answer to order alice-1 for \d+ s", line) for line in shown
    )
    os.close(over)
    os.close(end)
