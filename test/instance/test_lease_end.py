"""Test the machine's own copy of the rule for the end of a lease, with the vectors of annexd and the function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.annex.lease import lease as annexd_lease
from test.instance.account import MAX_LEASE_S, manifest
from test.instance.script import script

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "lease" / "vectors.json").read_text())
MOMENTS = st.integers(900_000_000, 4_100_000_000)
TOKENS = st.one_of(st.text(max_size=64), st.builds("annex_{}_{:016x}".format, MOMENTS, st.integers(0, 2**64 - 1)))
TAGS = st.dictionaries(
    st.sampled_from([annexd_lease.TAG_LEASE_END, annexd_lease.TAG_CANCELLED]),
    st.one_of(MOMENTS.map(annexd_lease.utc), st.text(max_size=30)),
)
NOW_S = 1_800_000_000


@pytest.mark.parametrize("vector", VECTORS, ids=[each["what"][:50] for each in VECTORS])
def test_the_machine_computes_the_end_as_the_vectors_say(vector: dict[str, Any]) -> None:
    asked = vector["token"], vector["tags"], vector["created_s"], vector["max_lease_s"]
    assert script.lease_end(*asked) == vector["end_s"]


@given(TOKENS, TAGS, st.none() | MOMENTS, st.integers(1, 10**9))
def test_the_machine_and_annexd_agree_on_everything(
    token: str, tags: dict[str, str], created_s: int | None, max_lease_s: int
) -> None:
    asked = token, tags, created_s, max_lease_s
    assert script.lease_end(*asked) == annexd_lease.lease_end(*asked)


def end_s(launched_s: float | None = NOW_S, **reported: Any) -> int:
    content = json.dumps(manifest("annex-one", NOW_S + 3600) | reported).encode()
    return int(script._manifest(content).end_s(launched_s))


def moved(seconds: int) -> dict[str, Any]:
    return {"Tags": {annexd_lease.TAG_LEASE_END: annexd_lease.utc(NOW_S + seconds)}, "LeaseEnd": NOW_S + seconds}


def test_a_moved_end_counts_up_to_max_lease_after_the_machines_launch() -> None:
    assert end_s(**moved(7200)) == NOW_S + 7200
    assert end_s(**moved(60)) == NOW_S + 60
    assert end_s(**moved(MAX_LEASE_S + 1)) == NOW_S + MAX_LEASE_S


def test_the_earlier_of_tag_and_lease_end_counts() -> None:
    assert end_s(**moved(7200) | {"LeaseEnd": NOW_S + 10}) == NOW_S + 10
    assert end_s(LeaseEnd=NOW_S + 9999) == NOW_S + 3600


def test_no_max_lease_makes_a_lease_of_more_than_a_year() -> None:
    assert end_s(**moved(10 * 366 * 86400), MaxLease=10**9) == NOW_S + 366 * 86400


def test_a_machine_that_does_not_know_its_launch_goes_beyond_no_ordered_end() -> None:
    assert end_s(None, **moved(7200)) == NOW_S + 3600
    assert end_s(None, **moved(60)) == NOW_S + 60
