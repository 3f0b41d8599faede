"""Test the findings of fuzzing, one test each."""

import pytest

from annexd.cedar.classad import HANDSHAKE_AD, AdLimits, AdReader, Scalar
from annexd.cedar.errors import AuthenticationFailed, PeerError, TooLarge
from annexd.cedar.frame import HEADER
from annexd.cedar.identity import Identity
from annexd.cedar.levels import Level
from annexd.cedar.policy import SecurityPolicy
from annexd.cedar.secret import Secret
from annexd.cedar.session import SecuritySession, SessionCache, inherited_sessions
from test.cedar.client import Client
from test.cedar.conversation import Conversation, server
from test.cedar.tokens import CLAIMS, POOL_KEY, unsigned

LINE_OF_THE_LOG = 1000
CLAIMTOBE, TOKEN = 2, 2048


def test_a_session_key_from_condor_master_may_be_any_bytes() -> None:
    environment = b"SessionKey:a:1:2:3#[]0123\xdb\xff".decode(errors="surrogateescape")
    assert [session.id for session in inherited_sessions(environment)] == ["a:1:2:3"]


@pytest.mark.parametrize("line", ["{name} = 1 + 1", "{name} = 1", "{name} = [ {name} = 1; {name} = 2 ]"])
@pytest.mark.parametrize("limits", [HANDSHAKE_AD, AdLimits()], ids=["handshake", "command"])
def test_a_long_attribute_name_does_not_fill_the_log(line: str, limits: AdLimits) -> None:
    reader = AdReader(limits)
    with pytest.raises(PeerError) as refused:
        list(map(reader.line, [line.format(name="A" * 60_000)] * 2))
    assert len(str(refused.value)) < LINE_OF_THE_LOG


def test_a_long_claimed_name_is_refused() -> None:
    policy = dict.fromkeys(Level, SecurityPolicy(methods=("CLAIMTOBE",)))
    client = Client(Conversation.at(server(policy=policy)))
    client.start({"AuthMethods": "CLAIMTOBE"})
    client.receive_ad()
    assert client.offer(CLAIMTOBE) == CLAIMTOBE
    client.send(client.message().integer(1).string("a" * 60_000))
    assert client.receive().integer() == 0
    with pytest.raises(AuthenticationFailed) as refused:
        client.offer(0)
    assert len(str(refused.value)) < LINE_OF_THE_LOG


def test_the_id_of_a_revoked_token_does_not_fill_the_log() -> None:
    client = Client(Conversation.at(server(is_revoked=lambda _claims: True), keys={"POOL": POOL_KEY}))
    client.start({"AuthMethods": "TOKEN"})
    client.receive_ad()
    assert client.offer(TOKEN) == TOKEN
    client.begin_token(unsigned(claims={**CLAIMS, "jti": "x" * 30_000}))
    client.send(client.message().integer(1))
    with pytest.raises(AuthenticationFailed) as refused:
        client.offer(0)
    assert len(str(refused.value)) < LINE_OF_THE_LOG


def test_a_message_in_frames_of_one_byte_is_refused_early() -> None:
    conversation = Conversation.at(server())
    with pytest.raises(TooLarge, match="too many frames"):
        conversation.receive((HEADER.pack(0, 1) + b"x") * 20)


def test_a_message_in_htcondors_frames_is_accepted() -> None:
    conversation = Conversation.at(server())
    conversation.receive((HEADER.pack(0, 4091) + bytes(4091)) * 15)
    assert conversation.events == []


def test_a_session_id_alone_does_not_raise_the_message_limit() -> None:
    sessions = SessionCache("a:1:1")
    sessions.add(SecuritySession("a:1:1:1", Secret(bytes(32)), Identity("alice@annex.test", "FS")))
    client = Client(Conversation.at(server(sessions=sessions)))
    ad: dict[str, Scalar] = {"Command": 1000, "UseSession": "YES", "Sid": "a:1:1:1", "CryptoMethods": "AES"}
    client.send(client.message().integer(60010).ad(ad))
    with pytest.raises(TooLarge):
        client.conversation.receive(HEADER.pack(1, 100_000))
