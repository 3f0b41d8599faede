"""Test progress messages of a slow command."""

import re
import time
from collections.abc import Callable

import pytest

from annexd.tool import send
from annexd.tool.attempt import Attempt, Child
from annexd.tool.options import ToolOptions


def slow(_options: ToolOptions, _ad: object, _whom: str | None, *, explain: bool) -> Child:
    def task(write: Callable[[object], None]) -> None:
        write("annexd@host")
        time.sleep(0.5 if explain else 0.0)  # the duration of an order
        write(Attempt({"Result": "Success"}, True, 0, ()))

    return Child(task)


def test_a_slow_answer_is_waited_for_with_progress_messages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(send, "begin", slow)
    monkeypatch.setattr(send, "FIRST_WORD_S", 0.1)
    monkeypatch.setattr(send, "NEXT_WORD_S", 0.1)
    command = send.SentCommand(ToolOptions(), {"Command": "CA_BULK_REQUEST", "CommandID": "alice-1"}, [])
    assert command.answer()["Result"] == "Success"
    said = capsys.readouterr().err.splitlines()
    assert len(said) > 1
    assert all(
        re.fullmatch(r"condor_annex: waiting for annexd's answer to order alice-1 for \d+ s", line) for line in said
    )
