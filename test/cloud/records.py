"""Records that are paged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass
class Record:
    """One record of a history, and its position in it."""

    sequence: int
    view: Mapping[str, Any]
