"""The events that Connection.next_event() returns.

The Need... events are questions: the same one is returned until it is answered.
"""

from dataclasses import dataclass

from annexd.cedar.commands import Command
from annexd.cedar.identity import Identity
from annexd.cedar.message import MessageReader


@dataclass(frozen=True)
class NeedData:
    """No event until receive_data() is given more bytes."""


@dataclass(frozen=True)
class NeedFilesystemProof:
    """Who owns the directory `path`?  Answer: filesystem_proof(login name of the owner, or None).

    It is a proof only if lstat reports a directory (no symbolic link), mode exactly 0700, and one or two links.
    """

    path: str


@dataclass(frozen=True)
class NeedSigningKey:
    """Which secret signs tokens with this key ID?  Answer: signing_key(signing_secret(...), or None if unknown).

    key_id: from the peer; contains no '/' and does not start with '.'.
    """

    key_id: str


@dataclass(frozen=True)
class NeedAuthorization:
    """Is this identity, with its limits, authorized for this command from the peer's address?

    Answer: authorization(bool).
    """

    command: Command
    identity: Identity


@dataclass(frozen=True)
class CommandReceived:
    """An authorized command.  Answer it by Connection.reply(), then close the connection.

    payload: the command's whole message; None if it has none.
    session_id: None for a command without a session.
    """

    command: Command
    identity: Identity
    session_id: str | None
    payload: MessageReader | None


@dataclass(frozen=True)
class ConnectionClosed:
    """The peer has left, or has all that it requested: flush data_to_send() and close."""


Event = NeedData | NeedFilesystemProof | NeedSigningKey | NeedAuthorization | CommandReceived | ConnectionClosed
NEED_DATA = NeedData()
CONNECTION_CLOSED = ConnectionClosed()
