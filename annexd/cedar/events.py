"""What Connection.next_event() may say.

The Need... events are questions: the same one is returned until its answer has been given.
"""

from dataclasses import dataclass

from annexd.cedar.commands import Command
from annexd.cedar.identity import Identity
from annexd.cedar.message import MessageReader


@dataclass(frozen=True)
class NeedData:
    """Nothing to tell until receive_data() brings more bytes."""


@dataclass(frozen=True)
class NeedFilesystemProof:
    """Who owns the directory `path`?  Answer: filesystem_proof(owner's login name, or None).

    It counts only if lstat says: a directory and no link, mode exactly 0700, one or two links.
    """

    path: str


@dataclass(frozen=True)
class NeedSigningKey:
    """Which secret signs tokens of this key id?  Answer: signing_key(signing_secret(...), or None if there is
    none).

    key_id came from the peer; it has no '/' and does not begin with '.'.
    """

    key_id: str


@dataclass(frozen=True)
class NeedAuthorization:
    """May this user, within these limits, give this command from the peer's address?  Answer:
    authorization(bool).
    """

    command: Command
    identity: Identity


@dataclass(frozen=True)
class CommandReceived:
    """An authorized command.  Its answers, if it has any, go by Connection.reply(); then close the
    connection.

    payload: the command's message, whole; None for a command that has none.
    session_id: of the session used, or None for a command without a session.
    """

    command: Command
    identity: Identity
    session_id: str | None
    payload: MessageReader | None


@dataclass(frozen=True)
class ConnectionClosed:
    """Nothing more will come: flush data_to_send() and close.  The peer left, or has all it asked for."""


Event = NeedData | NeedFilesystemProof | NeedSigningKey | NeedAuthorization | CommandReceived | ConnectionClosed
NEED_DATA = NeedData()
CONNECTION_CLOSED = ConnectionClosed()
