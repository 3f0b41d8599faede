"""DAEMON_SHUTDOWN: an expression that cannot be evaluated stops nothing."""

import asyncio

import pytest

from annexd.daemoncore.pool.collector import Advertiser, DaemonIdentity, Publication
from annexd.daemoncore.pool.outbound import Outbound


@pytest.mark.parametrize(
    ("expression", "is_true"),
    [
        ("true", True),
        ('Name == "annexd@host"', True),
        ("false", False),
        ("nosuch", False),
        ("1/0", False),
        ("7", False),
        ('absTime("soon")', False),
        ('eval("(")', False),
    ],
)
def test_only_an_expression_that_is_true_in_the_ad_stops_the_daemon(expression: str, is_true: bool) -> None:
    async def asked() -> bool:
        advertiser = Advertiser(Outbound({}), Publication((), 300, {}), dict)
        advertiser.identity = DaemonIdentity("annexd@host", "host", "<127.0.0.1:1>", "25.14.1", "x86_64")
        return advertiser.is_true(expression)

    assert asyncio.run(asked()) is is_true
