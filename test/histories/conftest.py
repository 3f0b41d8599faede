from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.histories.catalog import HistoryRunner


@pytest.fixture(scope="package")
def runner() -> Iterator[HistoryRunner]:
    with HistoryRunner() as runner:
        yield runner
