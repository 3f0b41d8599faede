"""A handshake client that can deviate from an honest client in every step."""

from collections.abc import Mapping

from annexd.cedar import akep2
from annexd.cedar.channel import Channel
from annexd.cedar.classad import Scalar, Value
from annexd.cedar.commands import DC_AUTHENTICATE, DC_NOP_READ
from annexd.cedar.crypto import AES, hkdf, peer_public_key
from annexd.cedar.legacy import KEY_BYTES, Protection
from annexd.cedar.message import MessageReader, MessageWriter
from annexd.cedar.secret import Secret
from test.cedar.conversation import Conversation, counting_random, exchange_of
from test.cedar.recording import PLENTY
from test.cedar.tokens import POOL_KEY, signature

FS, TOKEN = 4, 2048
CLIENT_IV = bytes(range(16))
NONCE = bytes(range(256))


class Client:
    """The client of a Conversation; send() and receive() take and return messages."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.channel = Channel(PLENTY)
        self.exchange = exchange_of(counting_random())

    def message(self) -> MessageWriter:
        return MessageWriter(encrypted=self.channel.is_encrypted, secrets=self.channel.secret_writer())

    def send(self, message: MessageWriter) -> None:
        self.channel.send(message.body())
        self.channel.receive(self.conversation.receive(self.channel.data_to_send()))

    def receive(self) -> MessageReader:
        body = self.channel.next_message()
        assert body is not None, f"the server sent nothing after {self.conversation.events}"
        return MessageReader(body, encrypted=self.channel.is_encrypted, secrets=self.channel.secret_reader())

    def receive_ad(self) -> dict[str, Value]:
        reader = self.receive()
        ad = reader.ad()
        reader.end()
        return ad

    def start(self, changes: Mapping[str, Scalar] | None = None, without: tuple[str, ...] = ()) -> None:
        """Start DC_AUTHENTICATE as HTCondor 25.14.1 does."""
        ad: dict[str, Scalar] = {
            "Command": DC_NOP_READ,
            "NewSession": "YES",
            "Enact": "NO",
            "Authentication": "REQUIRED",
            "AuthenticationNew": "REQUIRED",
            "Encryption": "REQUIRED",
            "Integrity": "REQUIRED",
            "AuthMethods": "FS,TOKEN",
            "CryptoMethods": "AES,BLOWFISH,3DES",
            "ECDHPublicKey": self.exchange.public,
            "SessionDuration": "60",
            "SessionLease": 3600,
            "RemoteVersion": "$CondorVersion: 25.14.1 2026-09-24 BuildID: UW_Python_Wheel_Build $",
            **(changes or {}),
        }
        kept = {name: value for name, value in ad.items() if name not in without}
        self.send(self.message().integer(DC_AUTHENTICATE).ad(kept))

    def offer(self, mask: int) -> int:
        """Offer methods; return the server's pick."""
        self.send(self.message().integer(mask))
        return self.receive().integer()

    def pass_fs(self, extension: str = "", made: int = 0) -> int:
        """Report the directory as created; return the server's verdict."""
        self.receive().string()
        message = self.message().integer(made)
        self.send(message.string(extension) if extension else message)
        return self.receive().integer()

    def begin_token(self, token: str, name: str = "alice@annex.test", nonce: bytes = NONCE) -> MessageReader:
        message = self.message().integer(0).integer(len(name)).string(name).string(token)
        self.send(message.integer(len(nonce)).raw(nonce))
        return self.receive()

    def finish_token(
        self, token: str, answer: MessageReader, name: str = "alice@annex.test", key: Secret = POOL_KEY
    ) -> None:
        server_nonce = server_nonce_of(answer)
        proof = akep2.client_proof(token_key(token, key), name, server_nonce)
        message = self.message().integer(0).integer(len(name)).string(name)
        self.send(message.integer(256).raw(server_nonce).integer(20).raw(proof))

    def encrypt(self, answer: Mapping[str, Value]) -> None:
        """Use the key derived from the server's response."""
        peer, cipher = peer_public_key(answer["ECDHPublicKey"]), str(answer["CryptoMethods"])
        if cipher == AES:
            self.channel.encrypt(self.exchange.session_key(peer), CLIENT_IV)
        else:
            encryption, integrity = (answer[feature] == "YES" for feature in ("Encryption", "Integrity"))
            key = self.exchange.session_key(peer, KEY_BYTES)
            self.channel.protect(Protection(cipher, key, encryption, integrity))

    def name_session(self, sid: object, changes: Mapping[str, Scalar]) -> None:
        """Request to resume a session as HTCondor 25.14.1 does; the test continues."""
        ad: dict[str, Scalar] = {"UseSession": "YES", "Sid": str(sid), "ResumeResponse": True, "CryptoMethods": AES}
        sent = {name: value for name, value in {**ad, **changes}.items() if value is not None}
        self.send(self.message().integer(DC_AUTHENTICATE).ad(sent))

    def resume(self, sid: object, key: Secret, command: int) -> None:
        """Resume a session; the next message proves its key."""
        self.name_session(sid, {"Command": command})
        assert self.receive_ad()["ReturnCode"] == "AUTHORIZED"
        self.channel.encrypt(key, CLIENT_IV)


def token_key(token: str, key: Secret = POOL_KEY) -> Secret:
    text = token.encode()
    return Secret(hkdf(signature(token, key), b"master ka", salt=akep2.SEED_KA + text))


def server_nonce_of(answer: MessageReader) -> bytes:
    assert answer.integer() == 0, "the server refused the token"
    for _ in range(2):
        answer.integer()
        answer.string()
    answer.raw(answer.integer())
    return answer.raw(answer.integer())


def established(
    conversation: Conversation, command: int = DC_NOP_READ, requirements: Mapping[str, Scalar] | None = None
) -> tuple[Client, dict[str, Value]]:
    """Return a client with a new session by FS, and the verdict."""
    client = Client(conversation)
    client.start({"Command": command, **(requirements or {})})
    answer = client.receive_ad()
    assert client.offer(FS) == FS
    assert client.pass_fs() == 0
    assert client.receive().integer() == 0
    client.encrypt(answer)
    return client, client.receive_ad()
