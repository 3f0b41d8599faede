"""Exchange the three messages of AKEP2 (condor_auth_passwd.cpp), by which IDTOKENS and PASSWORD prove a shared key.

    client  status, len(A), A, [token,] 256, rA
    server  status, len(A), A, len(B), B, 256, rA, 256, rB, 20, proof
    client  status, len(A), A, 256, rB, 20, proof

The third message gets no reply.  A client that is refused after the second one believes that it succeeded, and waits.
"""

import hmac
from dataclasses import dataclass

from annexd.cedar import akep2
from annexd.cedar.dialogue import Dialogue, Exchange
from annexd.cedar.message import MessageReader
from annexd.cedar.method import MethodFailed
from annexd.cedar.secret import Secret

CONDOR_PASSWORD = "condor@password"  # noqa: S105 (CONDOR_PASSWORD_FQU: a name)
_OK, _ERROR, _ABORT = 0, -1, 1
_CONDOR_PASSWORD_SINCE = (23, 9, 0)


@dataclass(frozen=True)
class Opening:
    """The first message.  token: "" if none is sent."""

    status: int
    name: str
    token: str
    nonce: bytes

    def check(self) -> None:
        if self.status != _OK:
            raise MethodFailed("the peer has no secret for this daemon")
        if len(self.nonce) != akep2.NONCE_BYTES:
            raise MethodFailed(f"the peer's nonce has {len(self.nonce)} bytes")


@dataclass(frozen=True)
class _Closing:
    status: int
    name: str
    nonce: bytes
    proof: bytes

    @classmethod
    def read(cls, message: MessageReader) -> "_Closing":
        status = message.integer()
        message.integer()
        name, nonce = message.string(), message.raw(message.integer())
        closing = cls(status, name, nonce, message.raw(message.integer()))
        message.end()
        return closing


def receive_opening(dialogue: Dialogue, *, has_token: bool) -> Exchange[Opening]:
    message = yield from dialogue.receive()
    status = message.integer()
    message.integer()  # the length of the name, which is NUL-terminated anyway
    name, token = message.string(), message.string() if has_token else ""
    opening = Opening(status, name, token, message.raw(message.integer()))
    message.end()
    if opening.status == _ABORT:
        raise MethodFailed("the peer aborted")
    return opening


def refuse(dialogue: Dialogue) -> Exchange[None]:
    """Refuse in the second message; the client's third one only acknowledges."""
    message = dialogue.message().integer(_ERROR).integer(0).string("").integer(0).string("")
    dialogue.send(message.integer(0).integer(0).integer(0))
    yield from dialogue.receive()


def prove_and_check(dialogue: Dialogue, opening: Opening, key: Secret) -> Exchange[None]:
    """Prove that this daemon knows the key and verify that the peer does.  Raises MethodFailed."""
    server_nonce = dialogue.context.random(akep2.NONCE_BYTES)
    _prove(dialogue, opening, key, server_nonce)
    closing = _Closing.read((yield from dialogue.receive()))
    _check(closing, opening, key, server_nonce)


def pool_user(dialogue: Dialogue) -> str:
    """Return the user that holds the pool password, as this peer's version spells it."""
    if dialogue.peer_version >= _CONDOR_PASSWORD_SINCE:
        return CONDOR_PASSWORD
    return f"condor_pool@{dialogue.context.uid_domain}"


def _prove(dialogue: Dialogue, opening: Opening, key: Secret, server_nonce: bytes) -> None:
    server = pool_user(dialogue)
    proof = akep2.server_proof(key, opening.name, server, opening.nonce, server_nonce)
    message = dialogue.message().integer(_OK)
    for name in (opening.name, server):
        message.integer(len(name.encode())).string(name)
    for value in (opening.nonce, server_nonce, proof):
        message.integer(len(value)).raw(value)
    dialogue.send(message)


def _check(closing: _Closing, opening: Opening, key: Secret, server_nonce: bytes) -> None:
    if closing.status != _OK:
        secret = "signing key does not match its token" if opening.token else "password differs from its own"
        raise MethodFailed(f"the peer reports that this daemon's {secret}")
    expected = akep2.client_proof(key, opening.name, server_nonce)
    is_proved = hmac.compare_digest(closing.proof, expected)
    if not (is_proved and closing.name == opening.name and hmac.compare_digest(closing.nonce, server_nonce)):
        raise MethodFailed(f"the peer does not know the {'signature of its token' if opening.token else 'password'}")
