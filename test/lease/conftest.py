from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from test.cloud import Cloud
from test.lease.annexes import TEMPLATE, Annex, Context, load_lease

TERMINATION_S = 0.5


@pytest.fixture(scope="session")
def one_cloud() -> Iterator[Cloud]:
    with Cloud(speed=0, termination_s=TERMINATION_S) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def function_arn(one_cloud: Cloud) -> str:
    return one_cloud.deploy_template(TEMPLATE)


@pytest.fixture
def cloud(one_cloud: Cloud) -> Iterator[Cloud]:
    """No faults to come and an empty audit; what other tests left running stays, as in a real account."""
    one_cloud.clear_audit()
    yield one_cloud
    one_cloud.clear_faults()


@pytest.fixture
def annex(cloud: Cloud, function_arn: str) -> Annex:
    return Annex(cloud, function_arn)


@pytest.fixture
def lease(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """lease.py, as in its runtime: all that it knows of AWS is the environment."""
    for name, value in cloud.environment().items():
        monkeypatch.setenv(name, value)
    module = load_lease()
    monkeypatch.setattr(module, "FIRST_PAUSE_S", TERMINATION_S / 2)  # instances here go faster than AWS's
    return module


@pytest.fixture
def run(lease: ModuleType) -> Callable[..., dict[str, Any]]:
    """Call the handler with an annex's event; its receipt."""

    def call(annex: Annex, limit_s: float = 240.0) -> dict[str, Any]:
        receipt: dict[str, Any] = lease.handler(annex.event, Context(limit_s))
        return receipt

    return call
