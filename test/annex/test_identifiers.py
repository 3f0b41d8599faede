"""Names are exact: nothing is matched by how it begins."""

import pytest

from annexd.annex.identifiers import ANNEX_ID, annex_of_client_token, new_annex_id, new_client_token

TOKENS = [
    ("test_0123456789abcdef", "test"),
    ("test2_0123456789abcdef", "test2"),
    ("a-b.c_0123456789abcdef", "a-b.c"),
    ("te_st_0123456789abcdef", None),  # an annex ID has no underscore
    ("test_0123456789ABCDEF", None),
    ("test_0123", None),
    ("test", None),
    ("_0123456789abcdef", None),
    ("", None),
]


@pytest.mark.parametrize(("token", "annex_id"), TOKENS)
def test_the_annex_stands_before_the_last_underscore(token: str, annex_id: str | None) -> None:
    assert annex_of_client_token(token) == annex_id


def test_names_are_new_each_time_and_as_long_as_aws_takes() -> None:
    annex_ids = {new_annex_id() for _ in range(1000)}
    assert len(annex_ids) == 1000
    for annex_id in annex_ids:
        token = new_client_token(annex_id)
        assert ANNEX_ID.fullmatch(annex_id)
        assert len(token) <= 64
        assert annex_of_client_token(token) == annex_id
