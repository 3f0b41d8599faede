"""One connection, from its first byte to its last: bytes in, events out."""

from annexd.cedar.context import Endpoint, ServerContext
from annexd.cedar.events import Event
from annexd.cedar.message import MessageWriter
from annexd.cedar.secret import Secret


class Connection:
    """The server's end of one connection.

        connection = Connection(context, Endpoint("127.0.0.1", 9618))
        connection.receive_data(some_bytes)
        match connection.next_event(now_s): ...
        transport.write(connection.data_to_send())

    After PeerError: write data_to_send(), which may hold a last answer, and close.
    """

    def __init__(self, context: ServerContext, local: Endpoint) -> None: ...

    def receive_data(self, received: bytes) -> None:
        """Bytes from the peer; b"" when it will send no more.  Only keeps them: next_event() reads them."""

    def next_event(self, now_s: float) -> Event:
        """What happened, or a question; NeedData when more bytes are needed.  Raises PeerError, then and ever after."""

    def data_to_send(self) -> bytes:
        """What is to be written now; each byte is given once."""

    def filesystem_proof(self, owner: str | None) -> None:
        """The answer to NeedFilesystemProof."""

    def signing_key(self, secret: Secret | None) -> None:
        """The answer to NeedSigningKey; see idtokens.signing_secret()."""

    def authorization(self, granted: bool) -> None:
        """The answer to NeedAuthorization."""

    def message(self) -> MessageWriter:
        """An empty message for reply(), which spells strings as this channel needs them now."""

    def reply(self, message: MessageWriter | bytes) -> None:
        """Send one message (of any size: frames are cut as needed), encrypted if the channel is."""

    @property
    def is_encrypted(self) -> bool: ...

    @property
    def is_authenticated(self) -> bool:
        """Whether the peer has proved who it is; until then it gets little time and little room."""

    @property
    def is_established(self) -> bool:
        """Whether the handshake is over: a command has been authorized."""
