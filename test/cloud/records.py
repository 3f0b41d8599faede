"""Records that are listed in pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Record:
    """One of a history, and its place in it."""

    sequence: int
    view: Mapping[str, Any]
