"""Tokens that annexd issues are valid for HTCondor, and reproducible."""

from annexd.cedar.issuing import issue
from annexd.cedar.token import parse_token
from test.cedar.tokens import CLAIMS, POOL_KEY, base64url, signature


def test_the_token_has_the_given_claims() -> None:
    token = parse_token(issue(CLAIMS, "POOL", POOL_KEY).rpartition(".")[0])
    assert (token.algorithm, token.key_id, token.claims) == ("HS256", "POOL", CLAIMS)


def test_the_signature_is_that_of_condor_token_create() -> None:
    text, _, signed = issue(CLAIMS, "POOL", POOL_KEY).rpartition(".")
    assert signed == base64url(signature(text))


def test_the_same_claims_make_the_same_token_in_any_order() -> None:
    turned = dict(reversed(list(CLAIMS.items())))
    assert issue(CLAIMS, "POOL", POOL_KEY) == issue(turned, "POOL", POOL_KEY)
