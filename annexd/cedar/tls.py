"""SSL: a TLS handshake inside messages, in which both sides may prove a certificate (condor_auth_ssl.cpp).

    server, client    status                  whether each is ready
    client, server    status, len, records    in turn, until both are done; the client begins
    server, client    status, len, records    in turn: 256 bytes, formerly a key, and their receipt

TLS protects nothing else.  As for every method, the session key comes from the exchange in DC_AUTHENTICATE's ads.
"""

import ssl

from annexd.cedar.context import Tls
from annexd.cedar.dialogue import Dialogue, Exchange
from annexd.cedar.errors import MalformedMessage
from annexd.cedar.identity import UNMAPPED_DOMAIN, Identity
from annexd.cedar.method import MethodFailed
from annexd.cedar.naming import user_of
from annexd.cedar.subject import MalformedSubject, oneline

METHOD = "SSL"
_READY, _RECEIVING, _QUITTING, _HOLDING = 0, 2, 3, 4  # AUTH_SSL_A_OK and so on
_ERROR = -1
_KEY_BYTES = 256
_MAX_ROUNDS = 16  # TLS 1.2 needs three, TLS 1.3 two
_NO_CERTIFICATE = "unauthenticated"  # its name in a map file


class _Tunnel:
    """TLS over two buffers."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.status = _RECEIVING
        self.fault = ""

    def feed(self, records: bytes) -> None:
        self._incoming.write(records)

    def advance(self) -> None:
        """Continue the handshake with the records received so far."""
        if self.status == _HOLDING:
            return
        try:
            self._tls.do_handshake()
            self.status = _HOLDING
        except ssl.SSLWantReadError:
            self.status = _RECEIVING
        except ssl.SSLError as error:
            self.status, self.fault = _QUITTING, _reason(error)

    def write(self, text: bytes) -> None:
        try:
            self._tls.write(text)
        except ssl.SSLError as error:
            self.status, self.fault = _QUITTING, _reason(error)

    def records(self) -> bytes:
        """Return the records to send, each once."""
        return self._outgoing.read()

    def certificate(self) -> bytes | None:
        """Return the peer's verified certificate in DER, or None if it sent none."""
        return self._tls.getpeercert(binary_form=True)


def authenticate(dialogue: Dialogue) -> Exchange[Identity]:
    tls = dialogue.context.tls
    dialogue.send(dialogue.message().integer(_READY if tls else _ERROR))
    is_ready = (yield from _receive_status(dialogue)) == _READY
    if tls is None or not is_ready:
        raise MethodFailed("the peer is not ready for TLS" if tls else "this daemon has no certificate")
    tunnel = _Tunnel(tls.context)
    yield from _shake_hands(dialogue, tunnel)
    try:
        identity = _identity(dialogue, tls, tunnel.certificate())
    except MethodFailed:
        _send(dialogue, _QUITTING, b"")
        raise
    yield from _send_key(dialogue, tunnel)
    return identity


def _receive_status(dialogue: Dialogue) -> Exchange[int]:
    message = yield from dialogue.receive()
    status = message.integer()
    message.end()
    return status


def _shake_hands(dialogue: Dialogue, tunnel: _Tunnel) -> Exchange[None]:
    for _ in range(_MAX_ROUNDS):
        client = yield from _receive(dialogue, tunnel)
        if client == tunnel.status == _HOLDING:
            return
        tunnel.advance()
        _send(dialogue, tunnel.status, tunnel.records())
        if tunnel.status == _QUITTING:
            raise MethodFailed(f"TLS: {tunnel.fault}")
        if client == tunnel.status == _HOLDING:
            return
    raise MalformedMessage("TLS handshake too long", f"not complete after {_MAX_ROUNDS} rounds")


def _send_key(dialogue: Dialogue, tunnel: _Tunnel) -> Exchange[None]:
    tunnel.write(dialogue.context.random(_KEY_BYTES))
    for _ in range(_MAX_ROUNDS):
        _send(dialogue, tunnel.status, tunnel.records())
        if tunnel.status == _QUITTING:
            raise MethodFailed(f"TLS: {tunnel.fault}")
        if (yield from _receive(dialogue, tunnel)) == _HOLDING:
            return
    raise MalformedMessage("the peer does not accept its key", f"not received after {_MAX_ROUNDS} rounds")


def _send(dialogue: Dialogue, status: int, records: bytes) -> None:
    dialogue.send(dialogue.message().integer(status).integer(len(records)).raw(records))


def _receive(dialogue: Dialogue, tunnel: _Tunnel) -> Exchange[int]:
    message = yield from dialogue.receive()
    status, records = message.integer(), message.raw(message.integer())
    message.end()
    if status in {_QUITTING, _ERROR}:
        raise MethodFailed("the peer aborted; perhaps it does not trust this daemon's certificate or host name")
    tunnel.feed(records)
    return status


def _identity(dialogue: Dialogue, tls: Tls, certificate: bytes | None) -> Identity:
    if certificate is None and tls.require_certificate:
        raise MethodFailed("the peer sent no certificate (AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE)")
    subject = _subject(certificate) if certificate is not None else ""
    name = subject or _NO_CERTIFICATE
    if certificate is not None and tls.require_mapping and not _is_mapped(dialogue, subject):
        raise MethodFailed(f"no line of the map file matches {name!r} (AUTH_SSL_REQUIRE_CLIENT_MAPPING)")
    default = f"{'ssl' if subject else _NO_CERTIFICATE}@{UNMAPPED_DOMAIN}"
    return Identity(user_of(METHOD, name, dialogue.context, default=default), METHOD)


def _subject(certificate: bytes) -> str:
    try:
        return oneline(certificate)
    except MalformedSubject as error:
        raise MethodFailed("the subject of the peer's certificate cannot be read") from error


def _is_mapped(dialogue: Dialogue, subject: str) -> bool:
    return bool(subject and dialogue.context.canonical_user(METHOD, subject))


def _reason(error: ssl.SSLError) -> str:
    """Return OpenSSL's reason, such as "certificate verify failed: self-signed certificate"."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    return (error.reason or "the handshake failed").lower().replace("_", " ")
