"""Names match as a whole, never by their beginning."""

import pytest

from annexd.annex.lease.identifiers import LeasedToken, leased_token, new_annex_id, read_leased_token

END_S = 1_800_000_000
TOKENS = [
    ("test_1800000000_0123456789abcdef", "test"),
    ("test2_1800000000_0123456789abcdef", "test2"),
    ("a-b.c_1800000000_0123456789abcdef", "a-b.c"),
    ("te_st_1800000000_0123456789abcdef", None),  # an annex ID has no underscore
    ("test_1800000000_0123456789ABCDEF", None),
    ("test_1800000000_0123", None),
    ("test_1800000000_0123456789abcdef0", None),
    ("test_3600_0123456789abcdef", None),  # a duration
    ("test_0000003600_0123456789abcdef", None),
    ("test_1800000000000_0123456789abcdef", None),  # milliseconds
    ("test_9999999999_0123456789abcdef", None),  # after 2096
    ("test_\u0661800000000_0123456789abcdef", None),  # a digit of another script
    ("test_1800000000_0123456789abcdef\n", None),
    ("test_0123456789abcdef", None),
    (f"{'x' * 37}_1800000000_0123456789abcdef", None),
    ("test", None),
    ("_1800000000_0123456789abcdef", None),
    ("", None),
    (None, None),
]


@pytest.mark.parametrize(("token", "annex_id"), TOKENS)
def test_a_client_token_is_read_as_a_whole_or_is_not_ours(token: object, annex_id: str | None) -> None:
    assert read_leased_token(token) == (None if annex_id is None else LeasedToken(annex_id, END_S))


def test_names_are_new_each_time_and_as_long_as_aws_takes() -> None:
    annex_ids = {new_annex_id() for _ in range(1000)}
    assert len(annex_ids) == 1000
    tokens = {leased_token(annex_id, END_S) for annex_id in annex_ids for _ in range(2)}
    assert len(tokens) == 2000
    assert max(map(len, tokens)) <= 64
    assert {read_leased_token(token) for token in tokens} == {LeasedToken(each, END_S) for each in annex_ids}


@pytest.mark.parametrize(
    ("annex_id", "end_s"), [("te_st", END_S), ("", END_S), ("x" * 37, END_S), ("test", 3600), ("test", END_S * 1000)]
)
def test_no_token_is_made_that_could_not_be_read(annex_id: str, end_s: int) -> None:
    with pytest.raises(ValueError, match="a client token cannot hold"):
        leased_token(annex_id, end_s)
