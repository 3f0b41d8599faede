from __future__ import annotations

from collections.abc import Iterator

import pytest

from test.lease.account import Account
from test.lease.fleets import EC2, SPOT


@pytest.fixture(scope="module", params=[SPOT, EC2], ids=["Spot Fleet", "EC2 Fleet"])
def kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Set the default kind of fleets of an account's annexes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Account, "kind", request.param)
        yield str(request.param)
