"""The verdicts equal those that vectors/record.py recorded from HTCondor's library."""

import json
from pathlib import Path
from typing import Any

import pytest

from annexd.authorization import FAMILY, AuthorizationPolicy, Lookups, Peer
from annexd.authorization.network import peer_address
from annexd.authorization.peer import AccessCheck
from annexd.cedar.levels import Level

RECORDED = json.loads((Path(__file__).parent / "vectors" / "verdicts.json").read_text())


def names_of(address: str) -> list[str]:
    """Return the host name that NO_DNS derives, such as 10-1-2-3.site."""
    return [address.replace(".", "-").replace(":", "-") + ".site"]


def addresses_of(name: str) -> list[str]:
    """Return the address of such a host name."""
    label = name.partition(".site")[0]
    address = peer_address(label.replace("-", ":" if "--" in label else "."))
    return [str(address)] if address else []


LOOKUPS = Lookups(
    names_of, addresses_of, is_local=lambda address: address == "127.0.0.1", is_member=lambda _asked: False
)


@pytest.mark.parametrize("case", RECORDED["cases"], ids=range(len(RECORDED["cases"])))
def test_every_verdict_is_that_of_htcondor(case: dict[str, Any]) -> None:
    policy = AuthorizationPolicy.read(case["config"].get, "ANNEXD")
    if case["holes"]:
        policy = policy.with_holes(FAMILY)
    for level, address, user, granted in case["verdicts"]:
        verdict = policy.verify(Level(level), AccessCheck(Peer(address, user, "FAMILY"), LOOKUPS))
        assert verdict.granted == granted, f"{level} {address} {user}: {verdict.reason}; {case['config']}"


def test_both_verdicts_are_well_represented() -> None:
    verdicts = [granted for case in RECORDED["cases"] for *_, granted in case["verdicts"]]
    assert len(verdicts) >= 3000
    assert 0.2 < sum(verdicts) / len(verdicts) < 0.8
