"""IDTOKENS: valid tokens authenticate, all others are refused."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest

from annexd.cedar.akep2 import client_proof, server_proof, shared_key
from annexd.cedar.errors import AuthenticationFailed, MalformedMessage
from annexd.cedar.events import NeedSigningKey
from annexd.cedar.identity import TokenFacts
from annexd.cedar.secret import Secret
from annexd.cedar.signing_key import signing_secret
from test.cedar.client import FS, NONCE, TOKEN, Client, server_nonce_of
from test.cedar.conversation import Conversation, server
from test.cedar.recording import kdf
from test.cedar.tokens import CLAIMS, HEADER, POOL_KEY, base64url, unsigned

EXP = 1795360300  # the current time of the conversation


def _client(**changes: Any) -> Client:
    client = Client(Conversation.at(server(**changes), keys={"POOL": POOL_KEY}))
    client.start()
    client.receive_ad()
    assert client.offer(TOKEN) == TOKEN
    return client


def _without(name: str) -> dict[str, object]:
    return {claim: value for claim, value in CLAIMS.items() if claim != name}


def _claims(**changes: Any) -> str:
    return unsigned(claims={**CLAIMS, **changes})


def _header(**changes: Any) -> str:
    return unsigned({**HEADER, **changes})


def _spelled(claim: bytes) -> str:
    """Return a token with a claim that json.dumps cannot write."""
    text = unsigned()
    header, _, claims = text.partition(".")
    whole = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
    return f"{header}.{base64url(whole[:-1] + b', ' + claim + b'}')}"


# --- valid tokens


def test_the_key_schedule_is_that_of_htcondor() -> None:
    vector = kdf()
    secret = signing_secret("POOL", bytes.fromhex(vector["pool_key_file_hex"]))
    assert secret == Secret(bytes.fromhex(vector["pool_secret_hex"]))
    key = shared_key(secret, "HS256", vector["token"].rpartition(".")[0])
    assert key == Secret(bytes.fromhex(vector["ka_hex"]))
    ra, rb = bytes(range(256)), bytes(range(255, -1, -1))
    assert server_proof(key, vector["A"], vector["B"], ra, rb).hex() == vector["hkt_hex"]
    assert client_proof(key, vector["A"], rb).hex() == vector["hk_hex"]


def test_only_the_pool_key_is_doubled_and_it_ends_at_a_nul_only_as_a_password() -> None:
    scrambled = bytes(byte ^ mask for byte, mask in zip(b"ab\0c", b"\xde\xad\xbe\xef", strict=True))
    assert signing_secret("other", scrambled) == Secret(b"ab\0c")
    assert signing_secret("POOL", scrambled) == Secret(b"ab\0cab\0c")
    assert signing_secret("POOL", scrambled, pool_key_is_password=True) == Secret(b"abab")


def test_a_peer_that_knows_the_signature_is_the_tokens_subject() -> None:
    client, token = _client(), _claims(scope="condor:/READ,condor:/WRITE openid")
    client.finish_token(token, client.begin_token(token))
    identity = client.conversation.command().identity
    assert identity.user == "alice@annex.test"
    assert identity.method == "IDTOKENS"
    assert identity.limits == ("READ", "WRITE")
    assert identity.token == TokenFacts(
        "alice@annex.test", "annex.test", str(CLAIMS["jti"]), ("condor:/READ", "condor:/WRITE", "openid")
    )


@pytest.mark.parametrize(
    ("scope", "limits"),
    [("", ()), ("openid profile", ()), ("condor:/BOGUS", ("BOGUS",)), ("condor:/", ("",)), ("condor:READ", ())],
)
def test_only_condor_scopes_limit_a_session_and_an_unknown_one_does_not_lift_the_limit(
    scope: str, limits: tuple[str, ...]
) -> None:
    client, token = _client(), _claims(scope=scope)
    client.finish_token(token, client.begin_token(token))
    assert client.conversation.command().identity.limits == limits


def test_a_subject_without_a_domain_is_a_user_without_a_domain() -> None:
    client, token = _client(), _claims(sub="bob")
    client.finish_token(token, client.begin_token(token, "bob"), "bob")
    identity = client.conversation.command().identity
    assert identity.user == "bob"
    assert not identity.mapped


@pytest.mark.parametrize(
    ("version", "name"),
    [("23.9.6", "condor@password"), ("23.8.1", "condor_pool@annex.test"), ("9.0.0", "condor_pool@annex.test")],
)
def test_older_clients_know_the_server_by_its_older_name(version: str, name: str) -> None:
    client = Client(Conversation.at(server(), keys={"POOL": POOL_KEY}))
    client.start({"RemoteVersion": f"$CondorVersion: {version} 2023-01-01 $"})
    client.receive_ad()
    client.offer(TOKEN)
    answer = client.begin_token(unsigned())
    answer.raw(16)
    assert answer.string() == "alice@annex.test"
    assert answer.integer() == len(name)
    assert answer.string() == name


@pytest.mark.parametrize("token", [_claims(exp=EXP + 1), _claims(nbf=2**40), _claims(iat=2**40), _claims(aud="x")])
def test_claims_that_htcondor_ignores_are_ignored(token: str) -> None:
    client = _client()
    client.finish_token(token, client.begin_token(token))
    assert client.conversation.command().identity.user == "alice@annex.test"


def test_a_session_ends_with_the_token_that_made_it() -> None:
    context = server()
    client = Client(Conversation.at(context, keys={"POOL": POOL_KEY}))
    client.start()
    client.receive_ad()
    client.offer(TOKEN)
    token = _claims(exp=EXP + 10)
    client.finish_token(token, client.begin_token(token))
    session_id = str(client.conversation.command().session_id)
    assert context.sessions.find(session_id, EXP + 9)
    assert not context.sessions.find(session_id, EXP + 10)


# --- invalid tokens

BAD: Mapping[str, str] = {
    "no algorithm": unsigned({"kid": "POOL"}),
    "algorithm none": _header(alg="none"),
    "algorithm None": _header(alg="None"),
    "algorithm in small letters": _header(alg="hs256"),
    "algorithm RS256": _header(alg="RS256"),
    "algorithm ES256": _header(alg="ES256"),
    "algorithm HS1": _header(alg="HS1"),
    "algorithm is a list": _header(alg=["HS256"]),
    "no key id": unsigned({"alg": "HS256"}),
    "empty key id": _header(kid=""),
    "key id is a number": _header(kid=7),
    "key id with a slash": _header(kid="../POOL"),
    "hidden key id": _header(kid=".POOL"),
    "key id with a NUL": _header(kid="POOL\0"),
    "unknown key id": _header(kid="POOL2"),
    "no issuer": unsigned(claims=_without("iss")),
    "empty issuer": _claims(iss=""),
    "no token id": unsigned(claims=_without("jti")),
    "no subject": unsigned(claims=_without("sub")),
    "subject is a number": _claims(sub=5),
    "another subject": _claims(sub="bob@annex.test"),
    "scope is a list": _claims(scope=["condor:/READ"]),
    "expired": _claims(exp=EXP),
    "expired long ago": _claims(exp=-1),
    "expiry is a word": _claims(exp="never"),
    "expiry is true": _claims(exp=True),
    "expiry is too far": _claims(exp=10**30),
    "expiry is infinite": _spelled(b'"exp": 1e999'),
    "expiry is not a number": _spelled(b'"exp": NaN'),
    "empty": "",
    "one part": "abc",
    "three parts": unsigned() + ".c2lnbmF0dXJl",
    "not base64": "a$b.c",
    "base64 of the other alphabet": unsigned().replace("e", "+", 1),
    "padded": unsigned() + "=",
    "not JSON": base64url(b"{") + "." + base64url(b"{}"),
    "not UTF-8": base64url(b'{"alg":"\xff"}') + "." + base64url(b"{}"),
    "not an object": base64url(b"[]") + "." + base64url(b"{}"),
    "nested deeply": base64url(b"[" * 20_000) + "." + base64url(b"{}"),
    "a very long number": base64url(b"9" * 10_000) + "." + base64url(b"{}"),
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD.keys())
def test_a_bad_token_is_refused_in_the_second_message(token: str) -> None:
    client = _client()
    refusal = client.begin_token(token)
    assert [refusal.integer(), refusal.integer(), refusal.string()] == [-1, 0, ""]
    assert [refusal.integer(), refusal.string()] == [0, ""]
    assert [refusal.integer() for _ in range(3)] == [0, 0, 0]
    refusal.end()


@pytest.mark.parametrize("token", [token for name, token in BAD.items() if "key id" not in name])
def test_no_key_is_read_for_an_unacceptable_token(token: str) -> None:
    client = _client()
    client.begin_token(token)
    assert not any(isinstance(question, NeedSigningKey) for question in client.conversation.questions)


@pytest.mark.parametrize(("iat", "accepted"), [(EXP - 100, True), (EXP - 101, False), (None, False)])
def test_with_a_maximum_age_a_token_needs_a_recent_iat(iat: int | None, accepted: bool) -> None:
    claims = {**_without("iat"), **({"iat": iat} if iat else {})}
    client = _client(max_token_age_s=100)
    status = client.begin_token(unsigned(claims=claims)).integer()
    assert (status == 0) is accepted


def test_a_revoked_token_is_refused_in_the_second_message() -> None:
    seen: list[Mapping[str, object]] = []

    def is_revoked(claims: Mapping[str, object]) -> bool:
        seen.append(claims)
        return True

    client = _client(is_revoked=is_revoked)
    assert client.begin_token(unsigned()).integer() == -1
    assert seen == [CLAIMS]
    assert not any(isinstance(question, NeedSigningKey) for question in client.conversation.questions)


def _fall_back(client: Client) -> None:
    assert client.offer(FS | TOKEN) == FS
    assert client.pass_fs() == 0
    assert client.conversation.command().identity.method == "FS"


def test_after_a_bad_token_another_method_may_be_tried_but_not_the_same() -> None:
    client = _client()
    client.begin_token(BAD["algorithm none"])
    client.send(client.message().integer(-1).integer(0).string("").integer(0).integer(0))
    _fall_back(client)


def test_a_proof_with_another_key_proves_nothing() -> None:
    client, token = _client(), unsigned()
    client.finish_token(token, client.begin_token(token), key=Secret(b"another"))
    _fall_back(client)


def test_a_proof_for_another_name_proves_nothing() -> None:
    client, token = _client(), unsigned()
    client.finish_token(token, client.begin_token(token), name="root@annex.test")
    _fall_back(client)


def test_a_proof_for_another_nonce_proves_nothing() -> None:
    client, token = _client(), unsigned()
    nonce = bytes(256)
    assert server_nonce_of(client.begin_token(token)) != nonce
    proof = client_proof(Secret(b"x" * 32), "alice@annex.test", nonce)
    message = client.message().integer(0).integer(16).string("alice@annex.test")
    client.send(message.integer(256).raw(nonce).integer(20).raw(proof))
    _fall_back(client)


@pytest.mark.parametrize("nonce", [b"", NONCE[:-1], NONCE + b"x"])
def test_a_nonce_of_another_length_is_refused(nonce: bytes) -> None:
    assert _client().begin_token(unsigned(), nonce=nonce).integer() == -1


def test_a_client_that_rejects_the_servers_proof_may_fall_back() -> None:
    client = _client()
    client.begin_token(unsigned())
    client.send(client.message().integer(-1).integer(0).string("").integer(0).integer(0))
    _fall_back(client)


def test_the_reason_is_logged_and_not_sent_to_the_peer() -> None:
    client = _client()
    client.begin_token(BAD["expired"])
    client.send(client.message().integer(-1).integer(0).string("").integer(0).integer(0))
    with pytest.raises(AuthenticationFailed) as caught:
        client.offer(TOKEN)
    assert "IDTOKENS: the token has expired" in str(caught.value)
    assert caught.value.tell_peer == "authentication failed"


@pytest.mark.parametrize("length", [-1, 257, 2**31, 2**62])
def test_wrong_lengths_are_refused(length: int) -> None:
    client = _client()
    message = client.message().integer(0).integer(16).string("alice@annex.test").string(unsigned())
    with pytest.raises(MalformedMessage):
        client.send(message.integer(length).raw(NONCE))
