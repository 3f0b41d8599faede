from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.histories.catalog import Theatre


@pytest.fixture(scope="package")
def theatre() -> Iterator[Theatre]:
    with Theatre() as theatre:
        yield theatre
