"""The bar of -wait on a terminal: rich draws it."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn


class Bar:
    """One line that changes: a bar of the machines that have joined, and the counts."""

    def __init__(self, line: Callable[[Mapping[str, Any], float], str]) -> None:
        self._line = line
        columns = BarColumn(bar_width=20), TextColumn("{task.description}", markup=False)
        self._progress = Progress(*columns, console=Console(highlight=False), auto_refresh=False)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, annex: Mapping[str, Any], now_s: float) -> None:
        asked, joined = annex.get("TargetCapacity"), annex.get("Joined")
        total = float(asked) if isinstance(asked, int) else None
        if self._task is None:
            self._task = self._progress.add_task("", total=total)
        done = float(joined) if isinstance(joined, int) else 0.0
        self._progress.update(
            self._task, total=total, completed=done, description=self._line(annex, now_s), refresh=True
        )
