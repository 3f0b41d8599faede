"""CLAIMTOBE, ANONYMOUS and PASSWORD: the identities they give."""

from collections.abc import Mapping
from typing import Any

import pytest

from annexd.cedar import akep2
from annexd.cedar.commands import CA_AUTH_CMD, DC_NOP_ADMINISTRATOR, DC_NOP_READ
from annexd.cedar.errors import AuthenticationFailed
from annexd.cedar.events import NeedAuthorization
from annexd.cedar.identity import Identity
from annexd.cedar.levels import Level
from annexd.cedar.policy import SecurityPolicy
from annexd.cedar.secret import Secret
from annexd.cedar.signing_key import pool_password
from test.cedar.client import NONCE, Client, server_nonce_of
from test.cedar.conversation import Conversation, server

CLAIMTOBE, ANONYMOUS, PASSWORD = 2, 128, 512
PASSWORD_FACTS: Mapping[str, Any] = {"pool_password": Secret(b"opensesame")}


def client_of(method: str, greeting: Mapping[str, Any] | None = None, **changes: Any) -> Client:
    policy = dict.fromkeys(Level, SecurityPolicy(methods=(method,)))
    client = Client(Conversation.at(server(policy=policy, **changes)))
    client.start({"AuthMethods": method, **(greeting or {})})
    client.receive_ad()
    return client


def identity(client: Client) -> Identity:
    """Return the identity after the method; the server sends "no key" only after success."""
    assert client.receive().integer() == 0
    question = client.conversation.questions[-1]
    assert isinstance(question, NeedAuthorization)
    return question.identity


def claim(name: str, **changes: Any) -> Identity:
    client = client_of("CLAIMTOBE", **changes)
    assert client.offer(CLAIMTOBE) == CLAIMTOBE
    client.send(client.message().integer(1).string(name))
    assert client.receive().integer() == 1
    return identity(client)


# --- CLAIMTOBE


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("alice@site.org", "alice@site.org"),
        ("alice", "alice@annex.test"),
        ("alice@", "alice@annex.test"),
        ("alice@here@site.org", "alice@here@site.org"),
    ],
)
def test_a_claimed_name_gets_a_domain(name: str, user: str) -> None:
    assert claim(name).user == user


def test_without_include_domain_a_claimed_name_is_unchanged() -> None:
    assert claim("alice", claimtobe_domain=False).user == "alice"


@pytest.mark.parametrize(
    ("command", "levels"),
    [(DC_NOP_READ, ("READ",)), (DC_NOP_ADMINISTRATOR, ("ADMINISTRATOR", "WRITE", "READ", "ANNEX"))],
)
def test_a_claim_is_limited_to_its_commands_level_and_the_implied_ones(command: int, levels: tuple[str, ...]) -> None:
    assert claim("alice", greeting={"Command": command}).limits == levels


def test_the_map_file_applies_to_claimed_names() -> None:
    seen: list[tuple[str, str]] = []

    def canonical(method: str, name: str) -> str:
        seen.append((method, name))
        return "bob"

    assert claim("alice", canonical_user=canonical).user == "bob@annex.test"
    assert seen == [("CLAIMTOBE", "alice@annex.test")]


@pytest.mark.parametrize("name", ["", "alice\n", "\x7f"])
def test_an_invalid_claimed_name_is_refused(name: str) -> None:
    client = client_of("CLAIMTOBE")
    client.offer(CLAIMTOBE)
    client.send(client.message().integer(1).string(name))
    assert client.receive().integer() == 0
    with pytest.raises(AuthenticationFailed):
        client.offer(0)


def test_a_client_that_does_not_know_its_own_name_may_try_another_method() -> None:
    client = client_of("CLAIMTOBE")
    client.offer(CLAIMTOBE)
    client.send(client.message().integer(0))
    with pytest.raises(AuthenticationFailed, match="could not determine its own name"):
        client.offer(CLAIMTOBE)


# --- ANONYMOUS


def test_an_anonymous_client_is_unmapped_and_unnamed() -> None:
    client = client_of("ANONYMOUS")
    assert client.offer(ANONYMOUS) == ANONYMOUS
    assert client.receive().integer() == 1
    found = identity(client)
    assert found == Identity("CONDOR_ANONYMOUS_USER", "ANONYMOUS")
    assert not found.mapped
    assert not found.named, "it gets smaller limits"


def test_the_map_file_can_map_anonymous_clients() -> None:
    client = client_of("ANONYMOUS", canonical_user=lambda _method, _name: "guest@site.org")
    client.offer(ANONYMOUS)
    client.receive()
    found = identity(client)
    assert found.user == "guest@site.org"
    assert found.mapped
    assert found.named


# --- PASSWORD


def test_the_password_ends_at_a_plain_or_scrambled_nul() -> None:
    scrambled = bytes(byte ^ mask for byte, mask in zip(b"abc\0ef", b"\xde\xad\xbe\xef\xde\xad", strict=True))
    assert pool_password(scrambled) == Secret(b"abc")
    assert pool_password(scrambled[:2] + b"\0" + scrambled[2:]) == Secret(b"ab")
    assert pool_password(b"\0" + scrambled) is None
    assert pool_password(b"") is None


def begin(client: Client, name: str, nonce: bytes = NONCE) -> Any:
    client.offer(PASSWORD)
    message = client.message().integer(0).integer(len(name)).string(name)
    client.send(message.integer(len(nonce)).raw(nonce))
    return client.receive()


def finish(client: Client, name: str, answer: Any, password: bytes) -> None:
    nonce = server_nonce_of(answer)
    proof = akep2.client_proof(akep2.password_key(Secret(password)), name, nonce)
    message = client.message().integer(0).integer(len(name)).string(name)
    client.send(message.integer(256).raw(nonce).integer(20).raw(proof))


@pytest.mark.parametrize(
    ("version", "name", "user"),
    [
        ("25.14.1", "condor@password", "condor@password"),
        ("23.8.1", "condor_pool@annex.test", "condor_pool@annex.test"),
        ("9.0.0", "condor_pool@elsewhere", "condor_pool@annex.test"),
    ],
)
def test_a_peer_with_the_password_is_the_pool_user(version: str, name: str, user: str) -> None:
    greeting = {"RemoteVersion": f"$CondorVersion: {version} 2023-01-01 $", "Command": CA_AUTH_CMD}
    client = client_of("PASSWORD", greeting, **PASSWORD_FACTS)
    finish(client, name, begin(client, name), b"opensesame")
    assert identity(client) == Identity(user, "PASSWORD")


def test_a_wrong_password_is_refused() -> None:
    client = client_of("PASSWORD", **PASSWORD_FACTS)
    finish(client, "condor@password", begin(client, "condor@password"), b"sesame")
    with pytest.raises(AuthenticationFailed, match="does not know the password"):
        client.offer(PASSWORD)


@pytest.mark.parametrize(
    ("name", "nonce", "facts"),
    [
        ("root@annex.test", NONCE, PASSWORD_FACTS),
        ("condor_pool@annex.test", NONCE, PASSWORD_FACTS),
        ("condor@password", NONCE[:-1], PASSWORD_FACTS),
        ("condor@password", NONCE, {}),
    ],
    ids=["another user", "the older name", "a short nonce", "no password here"],
)
def test_an_invalid_opening_is_refused_in_the_second_message(name: str, nonce: bytes, facts: Mapping[str, Any]) -> None:
    assert begin(client_of("PASSWORD", **facts), name, nonce).integer() == -1
