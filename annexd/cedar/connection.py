"""Serve one connection, from its first byte to its last: bytes in, events out."""

from collections.abc import Callable
from typing import Any

from annexd.cedar.commands import DC_AUTHENTICATE, Command
from annexd.cedar.context import Endpoint, ServerContext
from annexd.cedar.dialogue import Dialogue, Exchange, PeerLeft
from annexd.cedar.errors import AuthorizationDenied, MalformedMessage, PeerError
from annexd.cedar.events import (
    CONNECTION_CLOSED,
    CommandReceived,
    Event,
    NeedAuthorization,
    NeedFilesystemProof,
    NeedSigningKey,
)
from annexd.cedar.handshake import (
    ClientAd,
    deny,
    establish,
    find_command,
    is_authorized,
    read_client_ad,
    server_policy,
)
from annexd.cedar.levels import Level
from annexd.cedar.message import MessageReader, MessageWriter
from annexd.cedar.resumption import names_session, resume
from annexd.cedar.secret import Secret

Question = NeedFilesystemProof | NeedSigningKey | NeedAuthorization


class Connection:
    """The server's end of one connection.

        connection = Connection(context, lambda: Endpoint("127.0.0.1", 9618))
        connection.receive_data(some_bytes)
        match connection.next_event(now_s): ...
        transport.write(connection.data_to_send())

    Read from the peer only after NeedData; otherwise received bytes accumulate.
    After PeerError, write data_to_send(), which may hold a last answer, and close.
    """

    def __init__(self, context: ServerContext, local: Callable[[], Endpoint]) -> None:
        self._dialogue = Dialogue(context, local)
        self._exchange = _serve(self._dialogue)
        self._question: Question | None = None
        self._answer: Any = None
        self._end: PeerError | None = None
        self._is_closed = False

    def receive_data(self, received: bytes) -> None:
        """Store bytes from the peer, b"" at its end; next_event() parses them."""
        if received:
            self._dialogue.channel.receive(received)
        else:
            self._dialogue.channel.at_end = True

    def next_event(self, now_s: float) -> Event:
        """Return the next event: a result, a question, or NeedData.

        Raises PeerError; from then on every call does.
        """
        if self._end:
            raise self._end
        if self._question:
            return self._question
        if self._is_closed:
            return CONNECTION_CLOSED
        self._dialogue.now_s = now_s
        event = self._advance()
        if isinstance(event, Question):
            self._question = event
        return event

    def data_to_send(self) -> bytes:
        """Return the bytes to write now, each once."""
        return self._dialogue.channel.data_to_send()

    def filesystem_proof(self, owner: str | None) -> None:
        """Answer NeedFilesystemProof."""
        self._reply_to(NeedFilesystemProof, owner)

    def signing_key(self, secret: Secret | None) -> None:
        """Answer NeedSigningKey; see signing_key.signing_secret()."""
        self._reply_to(NeedSigningKey, secret)

    def authorization(self, granted: bool) -> None:
        """Answer NeedAuthorization."""
        self._reply_to(NeedAuthorization, granted)

    def message(self) -> MessageWriter:
        """Return an empty message for reply(), with strings encoded as this channel requires now."""
        return self._dialogue.message()

    def reply(self, message: MessageWriter | bytes) -> None:
        """Send one message of any size, encrypted if the channel is."""
        self._dialogue.channel.send(message if isinstance(message, bytes) else message.body())

    def reply_with_part_of_file(self, part: bytes) -> None:
        """Send part of a file as ReliSock::put_file does; see sends_files_in_messages."""
        self._dialogue.channel.send_part_of_file(part)

    @property
    def sends_files_in_messages(self) -> bool:
        """Return whether each part of a file is a message; otherwise its bytes are sent between messages."""
        return self._dialogue.channel.sends_files_in_messages

    def _advance(self) -> Event:
        answer, self._answer = self._answer, None
        try:
            return self._exchange.send(answer)
        except (StopIteration, PeerLeft):
            self._is_closed = True
            return CONNECTION_CLOSED
        except PeerError as error:
            self._end = error
            raise

    def _reply_to(self, kind: type[Question], answer: object) -> None:
        if not isinstance(self._question, kind):
            raise TypeError(f"the open question is {self._question}, not {kind.__name__}")
        self._question, self._answer = None, answer


def _serve(dialogue: Dialogue) -> Exchange[None]:
    """Serve all commands of one connection.  HTCondor's clients send one; a daemon may send more in its session."""
    while True:
        message = yield from dialogue.receive()
        number = message.integer()
        if number == DC_AUTHENTICATE:
            yield from _negotiated_command(dialogue, message)
        else:
            yield from _raw_command(dialogue, find_command(dialogue, number), message)


def _negotiated_command(dialogue: Dialogue, message: MessageReader) -> Exchange[None]:
    if dialogue.session_id:
        raise MalformedMessage("a second DC_AUTHENTICATE", "this connection already has a session")
    client = read_client_ad(dialogue, message)
    command, payload = yield from (resume if names_session(client) else _in_new_session)(dialogue, client)
    yield _received(dialogue, command, payload)


def _in_new_session(dialogue: Dialogue, client: ClientAd) -> Exchange[tuple[Command, MessageReader | None]]:
    """Return the command of a new session and its message.

    Authentication on this connection is the proof of identity; HTCondor's clients send nothing after it but the message
    of a command that has one.
    """
    command = yield from establish(dialogue, client)
    if command is None:
        raise PeerLeft
    return command, (yield from dialogue.receive()) if command.payload else None


def _raw_command(dialogue: Dialogue, command: Command, message: MessageReader) -> Exchange[None]:
    """Handle a bare command number: given by the session's user, or unauthenticated without a session."""
    if not dialogue.session_id:
        _check_accepts_raw(dialogue, command)
    if not (yield from is_authorized(dialogue, command)):
        deny(dialogue, command)
    if not command.payload:
        message.end()
    yield _received(dialogue, command, message if command.payload else None)


def _received(dialogue: Dialogue, command: Command, payload: MessageReader | None) -> CommandReceived:
    return CommandReceived(command, dialogue.identity, dialogue.session_id, payload)


def _check_accepts_raw(dialogue: Dialogue, command: Command) -> None:
    is_open = command.level is Level.ALLOW or server_policy(dialogue, command).accepts_raw_commands
    if command.force_authentication or not is_open:
        raise AuthorizationDenied(
            what=f"{command.name} came without a security session",
            why=f"this daemon's policy for {command.level} requires negotiation or authentication",
            next_step="set SEC_CLIENT_NEGOTIATION to PREFERRED or REQUIRED on the client",
            tell_peer=f"{command.name} needs a security session",
        )
