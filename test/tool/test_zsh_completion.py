"""Test completion in zsh, at a terminal; test/conftest.py ignores this file where zsh is not installed."""

from pathlib import Path

import pytest

from test.terminal import type_at
from test.tool.completion import FOLDER

RC = f"fpath=({FOLDER} $fpath)\nautoload -U compinit\ncompinit -u -D\nPS1='%% '\n"
SHELL = ("setsid", "--ctty", "zsh", "-d", "-i")  # -d: without the machine's configuration


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("-lease-d", "-lease-duration"),
        ("-check-s", "-check-setup"),
        ("c", "config.json"),
        ("-access-key-file c", "config.json"),
        ("-profile l", "-profile lab"),
        ("-name anne", "-name annexd@vm.example.org"),
        ("-cancel p", "-cancel physics"),
        ("-status a", "-status annex-1"),
        ("-extend 2h a", "-extend 2h annex-1"),
    ],
)
def test_zsh_completes_what_was_begun(tools: dict[str, str], typed: str, shown: str) -> None:
    home = Path(tools["HOME"])
    (home / ".zshrc").write_text(RC)
    environment = tools | {"LC_ALL": "C.UTF-8", "TERM": "dumb"}
    type_at(SHELL, f"condor_annex {typed}\t", shown, env=environment, cwd=home / "work")
