"""Carry messages in frames: in clear at first, protected once there is a key."""

from cryptography.hazmat.primitives.ciphers import CipherContext

from annexd.cedar import legacy
from annexd.cedar.crypto import Decryptor, Encryptor, Transcript
from annexd.cedar.errors import MalformedMessage, PeerError, TooLarge
from annexd.cedar.frame import HEADER, parse_header, pieces
from annexd.cedar.secret import Secret

# HTCondor fills a buffer of 4096 bytes before it sends a frame that is not the last (buffers.h).  Each frame costs time
# regardless of its length, and one thread serves all connections.
SPARE_FRAMES, BYTES_A_FRAME = 16, 1024
MAX_CLEAR_BYTES = 1024 * 1024  # reli_sock.cpp hashes no more; both sides must hash the same bytes


class Channel:
    """The bytes of one connection, in both directions.

    max_message_bytes: limit on one message as on the wire; raised once the peer is known.
    proved_message_bytes: the limit from the first frame that proves the key.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self.max_message_bytes = max_message_bytes
        self.proved_message_bytes = max_message_bytes
        self.at_end = False  # the peer sends nothing more
        self._received = bytearray()
        self._message: list[bytes] = []
        self._message_bytes = 0
        self._to_send = bytearray()
        self._clear_in = Transcript()
        self._clear_out = Transcript()
        self._opener: Decryptor | legacy.Opener | None = None
        self._sealer: Encryptor | legacy.Sealer | None = None
        self._legacy: legacy.Protection | None = None

    @property
    def is_encrypted(self) -> bool:
        """Return whether messages are encrypted as a whole, which changes how strings are encoded."""
        return self._legacy.encryption if self._legacy else self._sealer is not None

    @property
    def sends_files_in_messages(self) -> bool:
        """Return whether file parts are messages (AES) or raw bytes between messages (ReliSock::put_file)."""
        return isinstance(self._sealer, Encryptor)

    @property
    def is_between_messages(self) -> bool:
        return not self._received and not self._message

    def receive(self, received: bytes) -> None:
        self._received += received

    def data_to_send(self) -> bytes:
        if not self._to_send:
            return b""
        sent = bytes(self._to_send)
        self._to_send.clear()
        return sent

    def next_message(self) -> bytes | None:
        """Return the next whole message, or None if more bytes are needed."""
        size = self._opener.header_bytes if self._opener else HEADER.size
        while len(self._received) >= size:
            header = bytes(self._received[:size])
            is_last, length = parse_header(header)
            self._check_size(length)
            if len(self._received) < size + length:
                return None
            self._message.append(self._take_frame(header, length))
            self._message_bytes += length
            self._check_frame_count()
            if is_last:
                return self._take_message()
        return None

    def send(self, message: bytes) -> None:
        for flag, piece in pieces(message):
            if self._sealer:
                self._to_send += self._sealer.seal(flag, piece)
            else:
                frame = HEADER.pack(flag, len(piece)) + piece
                self._clear_out.add(frame)
                self._to_send += frame

    def send_part_of_file(self, part: bytes) -> None:
        if isinstance(self._sealer, Encryptor):
            self.send(part)
        else:
            self._to_send += self._sealer.seal_bare(part) if self._sealer else part

    def encrypt(self, key: Secret, iv: bytes) -> None:
        """Switch both directions to AES.  The first frames authenticate the transcripts in clear."""
        if max(self._clear_in.length, self._clear_out.length) >= MAX_CLEAR_BYTES:
            raise TooLarge("too many bytes before encryption", f"more than {MAX_CLEAR_BYTES}")
        self._sealer = Encryptor(key, iv, self._clear_out, self._clear_in)
        self._opener = Decryptor(key, self._clear_in, self._clear_out)

    def protect(self, protection: legacy.Protection) -> None:
        """Switch both directions to a legacy cipher."""
        self._legacy = protection
        self._sealer = legacy.Sealer(protection)
        self._opener = legacy.Opener(protection)

    def secret_writer(self) -> CipherContext | None:
        """Return the cipher for the secrets of a message that is not encrypted otherwise; None if not needed."""
        return legacy.secret_writer(self._legacy) if self._legacy and not self._legacy.encryption else None

    def secret_reader(self) -> CipherContext | None:
        return legacy.secret_reader(self._legacy) if self._legacy and not self._legacy.encryption else None

    def _check_size(self, length: int) -> None:
        if self._message_bytes + length > self.max_message_bytes:
            raise TooLarge("message too large", f"more than {self.max_message_bytes} bytes, the limit for this peer")

    def _check_frame_count(self) -> None:
        if len(self._message) > SPARE_FRAMES + self._message_bytes // BYTES_A_FRAME:
            raise TooLarge("too many frames in a message", f"{len(self._message)} for {self._message_bytes} bytes")

    def _take_frame(self, header: bytes, length: int) -> bytes:
        end = len(header) + length
        body = bytes(self._received[len(header) : end])
        del self._received[:end]
        if self._opener:
            text = self._opener.open(header, body)
            self.max_message_bytes = self.proved_message_bytes
            return text
        self._clear_in.add(header + body)
        return body

    def _take_message(self) -> bytes:
        message = b"".join(self._message)
        self._message.clear()
        self._message_bytes = 0
        return message

    def truncation_error(self) -> PeerError:
        """Return the error for a peer that closed in the middle of a message."""
        return MalformedMessage(
            "connection closed in the middle of a message",
            f"{len(self._received)} bytes of an incomplete frame were received",
            "check whether the client was stopped or a firewall closed the connection",
        )
