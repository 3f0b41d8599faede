"""A Connection with given answers to its questions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from annexd.cedar.commands import COMMANDS
from annexd.cedar.connection import Connection
from annexd.cedar.context import Endpoint, ServerContext
from annexd.cedar.crypto import KeyExchange
from annexd.cedar.events import (
    CommandReceived,
    ConnectionClosed,
    Event,
    NeedAuthorization,
    NeedData,
    NeedFilesystemProof,
    NeedSigningKey,
)
from annexd.cedar.levels import Level
from annexd.cedar.policy import SecurityPolicy
from annexd.cedar.secret import Secret
from annexd.cedar.session import SessionCache

VERSION = "$CondorVersion: 25.14.1 2026-10-16 BuildID: cedarproto $"
NOW_S = 1795360300.0
HERE = Endpoint("127.0.0.1", 19700)


def counting_random() -> Callable[[int], bytes]:
    """Return a reproducible source of bytes for tests that do not depend on them."""
    numbers = count(1)
    return lambda length: bytes((next(numbers) * 37 + position) % 251 for position in range(length))


def exchange_of(random: Callable[[int], bytes]) -> KeyExchange:
    """Create a reproducible key exchange from 32 bytes, nearly all of which are a private key of P-256."""
    return KeyExchange(ec.derive_private_key(int.from_bytes(random(32)), ec.SECP256R1()))


def server(random: Callable[[int], bytes] | None = None, **changes: Any) -> ServerContext:
    random = random or counting_random()
    facts: dict[str, Any] = {
        "version": VERSION,
        "policy": dict.fromkeys(Level, SecurityPolicy()),
        "commands": COMMANDS,
        "sessions": SessionCache("vm:14367:1795360276"),
        "random": random,
        "new_exchange": lambda: exchange_of(random),
        "trust_domain": "annex.test",
        "uid_domain": "annex.test",
        "issuer_keys": ("POOL",),
    }
    return ServerContext(**{**facts, **changes})


@dataclass
class Conversation:
    """A conversation: `events` has all except questions and NeedData, `sent` the bytes that the server wrote."""

    connection: Connection
    owner: str | None = "root"
    keys: Mapping[str, Secret] = field(default_factory=dict)
    granted: bool = True
    now_s: float = NOW_S
    events: list[Event] = field(default_factory=list)
    questions: list[Event] = field(default_factory=list)
    sent: bytes = b""

    @classmethod
    def at(cls, context: ServerContext, local: Endpoint = HERE, **answers: Any) -> "Conversation":
        return cls(Connection(context, lambda: local), **answers)

    def receive(self, received: bytes) -> bytes:
        """Pass bytes from the peer (b"" at its end) and return the server's response."""
        self.connection.receive_data(received)
        return self.advance()

    def advance(self) -> bytes:
        try:
            while not isinstance(event := self.connection.next_event(self.now_s), NeedData):
                self._take(event)
                if isinstance(event, ConnectionClosed | CommandReceived):
                    break
        finally:
            sent = self.connection.data_to_send()
            self.sent += sent
        return sent

    def command(self) -> CommandReceived:
        last = self.events[-1] if self.events else None
        assert isinstance(last, CommandReceived), f"no command, but {self.events}"
        return last

    def reply(self, message: bytes) -> bytes:
        self.connection.reply(message)
        sent = self.connection.data_to_send()
        self.sent += sent
        return sent

    def _take(self, event: Event) -> None:
        match event:
            case NeedFilesystemProof():
                self.questions.append(event)
                self.connection.filesystem_proof(self.owner)
            case NeedSigningKey(key_id):
                self.questions.append(event)
                self.connection.signing_key(self.keys.get(key_id))
            case NeedAuthorization():
                self.questions.append(event)
                self.connection.authorization(self.granted)
            case _:
                self.events.append(event)
