"""HTCondor's own client code, from the official bindings, against the server."""

import getpass
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from annexd.cedar.commands import CA_AUTH_CMD
from annexd.cedar.levels import Level
from annexd.cedar.secret import Secret
from test.cedar.htcondor_client import HTCondorClient
from test.cedar.tokens import CLAIMS, HEADER, POOL_KEY, signed, unsigned
from test.daemoncore.served import CountedSessions, Served, secure_context

FAILED_BEFORE_SENDING = 1


@pytest.fixture
def client(tmp_path: Path) -> HTCondorClient:
    return HTCondorClient(tmp_path / "client")


@pytest.fixture
def token_client(tmp_path: Path) -> HTCondorClient:
    return HTCondorClient(tmp_path / "client", methods="IDTOKENS")


def _user() -> str:
    name = getpass.getuser()
    return "condor@annex.test" if name == "root" else f"{name}@annex.test"


def test_a_client_authenticates_by_fs_and_resumes_its_session(client: HTCondorClient) -> None:
    with Served() as server:
        outcomes = client.send(server.address, CA_AUTH_CMD, {"Command": "CA_BULK_REQUEST"}, times=3)
    assert [outcome.code for outcome in outcomes] == [0, 0, 0]
    assert {command.identity.user for command in server.commands} == {_user()}
    assert {command.identity.method for command in server.commands} == {"FS"}
    assert len({command.session_id for command in server.commands}) == 1
    assert server.handshakes == 1, "the second and third time the session is resumed"


def test_a_client_authenticates_by_a_token_and_resumes_its_session(token_client: HTCondorClient) -> None:
    scoped = {**CLAIMS, "scope": "condor:/READ condor:/ADMINISTRATOR"}
    token_client.keep_token(signed(unsigned(claims=scoped)))
    with Served(keys={"POOL": POOL_KEY}) as server:
        outcomes = token_client.send(server.address, CA_AUTH_CMD, {"Command": "CA_BULK_REQUEST"}, times=2)
    assert [outcome.code for outcome in outcomes] == [0, 0]
    first, second = server.commands
    assert first.identity.user == "alice@annex.test"
    assert first.identity.method == "IDTOKENS"
    assert first.identity.limits == ("READ", "ADMINISTRATOR")
    assert second.identity == first.identity
    assert server.handshakes == 1


@pytest.mark.parametrize(("algorithm", "digest"), [("HS384", "sha384"), ("HS512", "sha512")])
def test_tokens_signed_with_longer_hashes_work(token_client: HTCondorClient, algorithm: str, digest: str) -> None:
    text = unsigned({**HEADER, "alg": algorithm})
    token_client.keep_token(signed(text, algorithm=digest))
    with Served(keys={"POOL": POOL_KEY}) as server:
        assert token_client.send(server.address, CA_AUTH_CMD, {})[0].code == 0


@pytest.mark.parametrize(
    "token",
    [
        signed(unsigned(), Secret(b"the key of another pool")),
        signed(unsigned(claims={**CLAIMS, "exp": 1700000001})),
        signed(unsigned(claims={name: value for name, value in CLAIMS.items() if name != "jti"})),
    ],
    ids=["wrong signature", "expired", "no jti"],
)
def test_a_bad_token_is_refused_at_once_and_fs_is_tried_next(tmp_path: Path, token: str) -> None:
    client = HTCondorClient(tmp_path / "client", methods="IDTOKENS,FS")
    client.keep_token(token)
    policy = replace(secure_context().policy[Level.ADMINISTRATOR], methods=("IDTOKENS", "FS"))
    context = secure_context(policy=dict.fromkeys(Level, policy))
    with Served(context, keys={"POOL": POOL_KEY}) as server:
        outcome = client.send(server.address, CA_AUTH_CMD, {})[0]
    assert outcome.code == 0
    assert server.commands[0].identity.method == "FS"


def test_a_client_with_only_a_bad_token_is_refused(token_client: HTCondorClient) -> None:
    token_client.keep_token(signed(unsigned(), Secret(b"the key of another pool")))
    with Served(keys={"POOL": POOL_KEY}) as server:
        outcome = token_client.send(server.address, CA_AUTH_CMD, {})[0]
    assert outcome.code == FAILED_BEFORE_SENDING
    assert not server.commands


def test_a_denied_client_gets_the_reason(client: HTCondorClient) -> None:
    with Served(forbidden=frozenset({Level.ANNEX})) as server:
        outcome = client.send(server.address, CA_AUTH_CMD, {})[0]
    assert outcome.code == FAILED_BEFORE_SENDING
    assert not server.commands


def test_a_client_of_an_earlier_process_makes_a_new_session_when_it_tries_again(
    client: HTCondorClient,
) -> None:
    forgetful = secure_context(sessions=CountedSessions("forgetful", capacity=0))
    with Served(forgetful) as server:
        outcomes = client.send(server.address, CA_AUTH_CMD, {}, times=3)
    assert [outcome.code for outcome in outcomes] == [0, FAILED_BEFORE_SENDING, 0]
    assert server.handshakes == 2


def test_a_client_can_query_its_authorization(client: HTCondorClient) -> None:
    levels = [level for level in Level if level not in {Level.ALLOW, Level.CLIENT, Level.ANNEX}]
    forbidden = frozenset({Level.CONFIG, Level.NEGOTIATOR})
    with Served(forbidden=forbidden) as server:
        answers = dict(zip(levels, client.ping(server.address, levels), strict=True))
    assert {level for level, answer in answers.items() if not answer} == forbidden
    assert answers[Level.READ]["AuthorizationSucceeded"] == "True"
    assert answers[Level.READ]["MyRemoteUserName"] == _user()
    assert not server.commands


AWKWARD: dict[str, Any] = {
    "Quotes": 'he said "hi" and \\"ho\\"',
    "Backslashes": "C:\\temp\\",
    "Lines": "first\nsecond\r\n\tthird\n",
    "QuoteThenLine": '{"a":\n"b"\n}\n',
    "Words": "é 日本 \N{PILE OF POO}",
    "Empty": "",
    "Numbers": [0, -1, 2**63 - 1, -(2**63), 0.1, -1.5e-300, 1e20, 1.0],
    "Truth": [True, False, None],
    "Nested": {"One": {"Two": [{"Three": 'quote " line\n"\n and \\ inside'}], "None": None}, "is": 1, "a b": 2},
    "EmptyOnes": [[], {}, [[]], ""],
}


def test_values_arrive_as_the_client_put_them_in(client: HTCondorClient) -> None:
    with Served() as server:
        assert client.send(server.address, CA_AUTH_CMD, AWKWARD)[0].code == 0
    payload = server.commands[0].payload
    assert payload is not None
    assert payload.ad() == AWKWARD
    payload.end()


def test_an_ad_of_5_mb_with_nested_ads_and_lists_arrives_whole(client: HTCondorClient) -> None:
    specification = {"ImageId": "ami-1", "UserData": "QUJD" * 4000, "Weights": [1.5, 2], "Tags": [{"Key": 'a"b'}]}
    large = {"LaunchSpecifications": [dict(specification, Number=number) for number in range(320)]}
    with Served() as server:
        outcomes = client.send(server.address, CA_AUTH_CMD, large, times=2)
    assert [outcome.code for outcome in outcomes] == [0, 0]
    for command in server.commands:
        assert command.payload is not None
        assert command.payload.remaining > 5_000_000
        assert command.payload.ad() == large


def test_replies_arrive_as_they_were_written(client: HTCondorClient) -> None:
    reply: dict[str, Any] = {name: value for name, value in AWKWARD.items() if isinstance(value, str)}
    reply |= {"Integer": -(2**63), "Real": 0.1, "Whole": 1e20, "Yes": True, "Nothing": None, "Long": "x" * 3_000_000}
    with Served(reply=reply) as server:
        outcome = client.send(server.address, CA_AUTH_CMD, {})[0]
    # HTCondor's reader treats a quote before a newline as the end of the string, so a space separates them.
    assert outcome.reply == {**reply, "QuoteThenLine": '{"a":\n"b" \n}\n'}
