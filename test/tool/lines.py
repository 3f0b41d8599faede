"""Read command lines that condor_annex refuses."""

from __future__ import annotations

import shlex

import pytest

from annexd.tool.command_line import parse
from annexd.tool.errors import USAGE, ToolError


def faults(line: str) -> tuple[str, ...]:
    """Return what condor_annex says is wrong with a line."""
    with pytest.raises(ToolError) as raised:
        parse(shlex.split(line))
    assert raised.value.status == USAGE
    return raised.value.faults
