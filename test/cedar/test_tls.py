"""SSL: TLS inside messages, and the names of certificates."""

import ssl
from contextlib import suppress
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from annexd.cedar.context import Tls
from annexd.cedar.errors import AuthenticationFailed, MalformedMessage, PeerError
from annexd.cedar.events import NeedAuthorization
from annexd.cedar.identity import Identity
from annexd.cedar.levels import Level
from annexd.cedar.policy import SecurityPolicy
from annexd.cedar.subject import MalformedSubject, oneline
from test.cedar.certificates import HOST, Attributes, Authority, client_context, person, server_context
from test.cedar.client import Client
from test.cedar.conversation import Conversation, server
from test.cedar.recording import CLIENT, load

SSL = 256
READY, RECEIVING, QUITTING, HOLDING = 0, 2, 3, 4
ALICE = "/O=Example Site/CN=alice"


class TlsClient:
    """An SSL client that behaves like HTCondor's."""

    def __init__(self, client: Client, context: ssl.SSLContext) -> None:
        self.client = client
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=HOST)
        self.status = RECEIVING

    def begin(self) -> None:
        assert self.client.offer(SSL) == SSL
        assert self.client.receive().integer() == READY
        self.client.send(self.client.message().integer(READY))

    def shake_hands(self) -> int:
        """Continue until both are done or the server quits; return its last status."""
        theirs = RECEIVING
        while not theirs == self.status == HOLDING and theirs != QUITTING:
            self.step()
            self.send(self.status, self.outgoing.read())
            theirs = theirs if theirs == self.status == HOLDING else self.receive()
        return theirs

    def step(self) -> None:
        try:
            self.tls.do_handshake()
            self.status = HOLDING
        except ssl.SSLWantReadError:
            self.status = RECEIVING

    def send(self, status: int, records: bytes) -> None:
        self.client.send(self.client.message().integer(status).integer(len(records)).raw(records))

    def receive(self) -> int:
        message = self.client.receive()
        status, records = message.integer(), message.raw(message.integer())
        self.incoming.write(records)
        return status

    def take_key(self) -> Identity:
        assert self.receive() == HOLDING
        assert len(self.tls.read(1024)) == 256
        self.send(HOLDING, b"")
        assert self.client.receive().integer() == 0
        question = self.client.conversation.questions[-1]
        assert isinstance(question, NeedAuthorization)
        return question.identity


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def host(authority: Authority) -> tuple[str, str]:
    return authority.make("host", person("host"), host=HOST)


def talk(tls: Tls | None, context: ssl.SSLContext, **changes: Any) -> TlsClient:
    policy = dict.fromkeys(Level, SecurityPolicy(methods=("SSL",)))
    client = Client(Conversation.at(server(policy=policy, tls=tls, **changes)))
    client.start({"AuthMethods": "SSL"})
    client.receive_ad()
    return TlsClient(client, context)


def accepted(tls: Tls, context: ssl.SSLContext, **changes: Any) -> Identity:
    peer = talk(tls, context, **changes)
    peer.begin()
    assert peer.shake_hands() == HOLDING
    return peer.take_key()


def insist(peer: TlsClient) -> None:
    for _ in range(100):
        peer.send(RECEIVING, b"")
        peer.receive()


def refusal(peer: TlsClient) -> str:
    """Return the logged error after the peer offers no method."""
    with pytest.raises(AuthenticationFailed) as caught:
        peer.client.offer(0)
    return str(caught.value)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_subject_of_a_proved_certificate_is_the_peers_name(
    authority: Authority, host: tuple[str, str], version: ssl.TLSVersion
) -> None:
    context = client_context(authority, authority.make("alice", person("alice")))
    context.maximum_version = version
    names: list[tuple[str, str]] = []
    found = accepted(Tls(server_context(authority, host)), context, canonical_user=lambda *name: names.append(name))
    assert names == [("SSL", ALICE)]
    assert found == Identity("ssl@unmapped", "SSL"), "no line of the map file matches"
    assert not found.mapped


def test_the_map_file_maps_a_subject_to_a_user(authority: Authority, host: tuple[str, str]) -> None:
    context = client_context(authority, authority.make("alice", person("alice")))
    tls = Tls(server_context(authority, host), require_certificate=True, require_mapping=True)
    found = accepted(tls, context, canonical_user=lambda *name: "alice" if name == ("SSL", ALICE) else None)
    assert found.user == "alice@annex.test"
    assert found.mapped


def test_a_client_without_a_certificate_is_unauthenticated(authority: Authority, host: tuple[str, str]) -> None:
    found = accepted(Tls(server_context(authority, host), require_mapping=True), client_context(authority))
    assert found == Identity("unauthenticated@unmapped", "SSL")
    assert not found.named


def test_a_certificate_may_be_required(authority: Authority, host: tuple[str, str]) -> None:
    peer = talk(Tls(server_context(authority, host), require_certificate=True), client_context(authority))
    peer.begin()
    assert peer.shake_hands() == HOLDING
    assert peer.receive() == QUITTING
    assert "AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE" in refusal(peer)


def test_a_mapping_may_be_required(authority: Authority, host: tuple[str, str]) -> None:
    context = client_context(authority, authority.make("alice", person("alice")))
    peer = talk(Tls(server_context(authority, host), require_mapping=True), context)
    peer.begin()
    assert peer.shake_hands() == HOLDING
    assert peer.receive() == QUITTING
    assert f"no line of the map file matches '{ALICE}'" in refusal(peer)


def test_an_expired_certificate_proves_nothing(authority: Authority, host: tuple[str, str]) -> None:
    context = client_context(authority, authority.make("old", person("alice"), days=-1))
    peer = talk(Tls(server_context(authority, host)), context)
    peer.begin()
    assert peer.shake_hands() == QUITTING
    assert "certificate verify failed: certificate has expired" in refusal(peer)


def test_a_certificate_of_another_authority_proves_nothing(
    authority: Authority, host: tuple[str, str], tmp_path: Path
) -> None:
    foreign = Authority(tmp_path, "foreign").make("mallory", person("alice"))
    peer = talk(Tls(server_context(authority, host)), client_context(authority, foreign))
    peer.begin()
    assert peer.shake_hands() == QUITTING
    assert "certificate verify failed" in refusal(peer)


def test_a_client_that_does_not_trust_this_daemon_may_try_another_method(
    authority: Authority, host: tuple[str, str]
) -> None:
    peer = talk(Tls(server_context(authority, host)), client_context(authority))
    peer.begin()
    peer.send(QUITTING, b"")
    assert "perhaps it does not trust this daemon's certificate" in refusal(peer)


def test_a_client_may_abort_before_it_receives_the_key(authority: Authority, host: tuple[str, str]) -> None:
    peer = talk(Tls(server_context(authority, host)), client_context(authority))
    peer.begin()
    assert peer.shake_hands() == HOLDING
    peer.send(QUITTING, b"")
    assert peer.receive() == HOLDING
    assert "the peer aborted" in refusal(peer)


def test_a_client_that_is_not_ready_may_try_another_method(authority: Authority, host: tuple[str, str]) -> None:
    peer = talk(Tls(server_context(authority, host)), client_context(authority))
    assert peer.client.offer(SSL) == SSL
    peer.client.receive()
    peer.client.send(peer.client.message().integer(-1))
    assert "not ready for TLS" in refusal(peer)


def test_a_daemon_without_a_certificate_reports_it(authority: Authority) -> None:
    peer = talk(None, client_context(authority))
    assert peer.client.offer(SSL) == SSL
    assert peer.client.receive().integer() == -1
    peer.client.send(peer.client.message().integer(READY))
    assert "has no certificate" in refusal(peer)


@pytest.mark.parametrize("records", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05" + bytes(5), bytes(60_000)])
def test_bytes_that_are_not_tls_end_the_method(authority: Authority, host: tuple[str, str], records: bytes) -> None:
    peer = talk(Tls(server_context(authority, host)), client_context(authority))
    peer.begin()
    peer.send(RECEIVING, records)
    assert peer.receive() == QUITTING
    assert "SSL: TLS: " in refusal(peer)


def test_the_rounds_of_a_handshake_are_limited(authority: Authority, host: tuple[str, str]) -> None:
    peer = talk(Tls(server_context(authority, host)), client_context(authority))
    peer.begin()
    with pytest.raises(MalformedMessage, match="TLS handshake too long"):
        insist(peer)


def test_the_rounds_for_the_key_are_limited(authority: Authority, host: tuple[str, str]) -> None:
    peer = talk(Tls(server_context(authority, host)), client_context(authority))
    peer.begin()
    peer.shake_hands()
    with pytest.raises(MalformedMessage, match="does not accept its key"):
        insist(peer)


@cache
def _standing() -> ssl.SSLContext:
    authority = Authority(Path(mkdtemp(prefix="annexd-tls-")))
    context = server_context(authority, authority.make("host", person("host"), host=HOST))
    rmtree(authority.directory)
    return context


@given(st.lists(st.tuples(st.integers(-2, 5), st.binary(max_size=200)), max_size=4))
@settings(deadline=None)
def test_any_records_give_events_or_a_peer_error(records: list[tuple[int, bytes]]) -> None:
    peer = talk(Tls(_standing()), ssl.create_default_context())
    peer.begin()
    with suppress(PeerError):
        for status, text in records:
            peer.send(status, text)


@given(st.lists(st.tuples(st.floats(0, 0.9999), st.integers(1, 255)), min_size=1, max_size=4))
@settings(deadline=None)
def test_a_modified_handshake_gives_events_or_a_peer_error(changes: list[tuple[float, int]]) -> None:
    sent = bytearray(load("srv_ping_ssl_25").sent_by(CLIENT))
    for place, mask in changes:
        sent[int(place * len(sent))] ^= mask
    policy = dict.fromkeys(Level, SecurityPolicy(methods=("SSL",)))
    conversation = Conversation.at(server(policy=policy, tls=Tls(_standing())))
    with suppress(PeerError):
        conversation.receive(bytes(sent))
        conversation.receive(b"")


OPENSSL_NAMES: list[tuple[Attributes, str]] = [
    (person("alice"), ALICE),
    (((NameOID.DOMAIN_COMPONENT, "org"), (NameOID.USER_ID, "a"), (NameOID.EMAIL_ADDRESS, "a@b")),
     "/DC=org/UID=a/emailAddress=a@b"),
    (((NameOID.COUNTRY_NAME, "DE"), (NameOID.STATE_OR_PROVINCE_NAME, "BE"), (NameOID.LOCALITY_NAME, "B")),
     "/C=DE/ST=BE/L=B"),
    (((NameOID.SURNAME, "S"), (NameOID.GIVEN_NAME, "G"), (NameOID.SERIAL_NUMBER, "1")), "/SN=S/GN=G/serialNumber=1"),
    (((x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), "x"),), "/1.3.6.1.4.1.99999.1=x"),
    (((NameOID.COMMON_NAME, "J\xfcrgen\n"),), "/CN=J\\xC3\\xBCrgen\\x0A"),
    (((NameOID.COMMON_NAME, "a/CN=b"),), "/CN=a/CN=b"),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "expected"), OPENSSL_NAMES)
def test_a_subject_is_formatted_as_by_openssl(authority: Authority, subject: Attributes, expected: str) -> None:
    certificate = x509.load_pem_x509_certificate(Path(authority.make("named", subject)[0]).read_bytes())
    assert oneline(certificate.public_bytes(Encoding.DER)) == expected


def test_an_unreadable_certificate_is_refused() -> None:
    with pytest.raises(MalformedSubject):
        oneline(b"\x30\x03\x02\x01\x01")
