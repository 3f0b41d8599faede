"""SEC_TOKEN_REVOCATION_EXPR: the tokens that it revokes."""

import pytest

from annexd.daemoncore.security.revocation import Revocation

CLAIMS = {
    "sub": "alice@annex.test", "jti": "93c286", "iat": 1700000000, "exp": 1.8e9, "admin": True,
    "big": 2**70, "list": ["x"], "object": {"x": 1}, "nothing": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "revoked"),
    [
        ("", False),
        ('jti == "93c286"', True),
        ('jti == "other"', False),
        ("iat < 1800000000", True),
        ("iat > 1800000000", False),
        ("exp > 1e9 && admin", True),
        ("big > 1e20", True),
        ('regexp("^alice@", sub)', True),
        ('member(jti, {"a", "b"})', False),
        ("0", False),
        ("1", True),
        ("0.0", False),
    ],
)
def test_the_expression_decides_over_the_claims(expression: str, revoked: bool) -> None:
    assert Revocation(expression).is_revoked(CLAIMS) is revoked


@pytest.mark.parametrize(
    "expression", ["unknown", 'unknown == "x"', "error", '"false"', "{false}", "[a = false]", "list", "object", "1 / 0"]
)
def test_any_result_other_than_false_revokes(expression: str) -> None:
    assert Revocation(expression).is_revoked(CLAIMS)


@pytest.mark.parametrize("claims", [{"": 1}, {"x": 10**400}])
def test_claims_that_cannot_be_evaluated_are_revoked(claims: dict[str, object]) -> None:
    assert Revocation("false").is_revoked(claims)


def test_a_claim_cannot_be_hidden_by_another_spelling_of_its_name() -> None:
    for claims in ({"sub": "mallory", "SUB": "alice"}, {"SUB": "alice", "sub": "mallory"}):
        assert Revocation('sub == "mallory"').is_revoked(claims)
