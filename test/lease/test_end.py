"""Test when a lease ends: function, annexd and machines share one rule and the same test vectors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.annex.lease import identifiers
from annexd.annex.lease import lease as annexd_lease
from test.lease.loading import load_function

VECTORS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))
BOTH = {"the function": load_function().lease_end, "annexd": annexd_lease.lease_end}
NAMES = [annexd_lease.TAG_LEASE_END, annexd_lease.TAG_CANCELLED]
MOMENTS = st.integers(900_000_000, 4_100_000_000)
VALUES = st.one_of(MOMENTS.map(annexd_lease.utc), st.text(max_size=30))
TOKENS = st.one_of(
    st.builds(lambda end, digits: f"annex_{end}_{digits:016x}", MOMENTS, st.integers(0, 2**64 - 1)),
    st.from_regex(identifiers.LEASED_TOKEN, fullmatch=True),
    st.text(max_size=64),
)


@pytest.mark.parametrize("computes", BOTH.values(), ids=BOTH.keys())
@pytest.mark.parametrize("vector", VECTORS, ids=[each["what"][:50] for each in VECTORS])
def test_the_end_of_a_lease_is_as_the_vectors_say(vector: dict[str, Any], computes: Any) -> None:
    asked = vector["token"], vector["tags"], vector["created_s"], vector["max_lease_s"]
    assert computes(*asked) == vector["end_s"]


@given(TOKENS, st.dictionaries(st.sampled_from(NAMES), VALUES), st.none() | MOMENTS, st.integers(1, 10**9))
def test_annexd_and_the_function_agree_on_everything_and_nothing_outlives_max_lease(
    token: str, tags: dict[str, str], created_s: int | None, max_lease_s: int
) -> None:
    ends = {computes(token, tags, created_s, max_lease_s) for computes in BOTH.values()}
    assert len(ends) == 1
    [end_s] = ends
    ordered = identifiers.read_leased_token(token)
    assert (end_s is None) == (ordered is None)
    if end_s is not None and ordered is not None:
        assert end_s <= (ordered.end_of_lease_s if created_s is None else created_s + max_lease_s)


@given(st.from_regex(re.compile(r"[.\-A-Za-z0-9]{1,36}", re.ASCII), fullmatch=True), st.integers(10**9, 4 * 10**9))
def test_a_token_is_read_back_as_it_was_written(annex_id: str, end_s: int) -> None:
    token = identifiers.leased_token(annex_id, end_s)
    assert len(token) <= 64
    assert token.isascii()
    assert identifiers.read_leased_token(token) == identifiers.LeasedToken(annex_id, end_s)
    assert identifiers.leased_token(annex_id, end_s) != token


@pytest.mark.parametrize(
    "asked",
    [
        ("a" * 37, 1_800_000_000),
        ("a_b", 1_800_000_000),
        ("", 1_800_000_000),
        ("a", 999_999_999),
        ("a", 4_000_000_001),
        ("a", 3600),
    ],
)
def test_no_token_is_written_that_would_not_be_read(asked: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match="a client token cannot hold"):
        identifiers.leased_token(*asked)


def test_the_ids_of_new_annexes_fit_into_their_tokens() -> None:
    annex_id = identifiers.new_annex_id()
    assert identifiers.read_leased_token(identifiers.leased_token(annex_id, 1_800_000_000)) is not None
