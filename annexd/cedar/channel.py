"""Messages over frames: in clear first, and encrypted once there is a key."""

from annexd.cedar.crypto import Decryptor, Encryptor, Transcript
from annexd.cedar.errors import MalformedMessage, PeerError, TooLarge
from annexd.cedar.frame import HEADER, parse_header, pieces
from annexd.cedar.secret import Secret

# HTCondor fills a buffer of 4096 bytes before it sends a frame that is not the last (buffers.h).  Frames cost time
# whatever their length, and this daemon serves everybody in one thread.
SPARE_FRAMES, BYTES_A_FRAME = 16, 1024
MAX_CLEAR_BYTES = 1024 * 1024  # reli_sock.cpp hashes no more than that; both sides must have hashed the same


class Channel:
    """One connection's bytes in both directions.

    max_message_bytes: of one message, as it is on the wire; the connection raises it when it knows the peer.
    proved_message_bytes: the same, from the first frame on that was encrypted with the right key.
    """

    def __init__(self, max_message_bytes: int) -> None:
        self.max_message_bytes = max_message_bytes
        self.proved_message_bytes = max_message_bytes
        self.at_end = False  # of what the peer sends
        self._received = bytearray()
        self._message: list[bytes] = []
        self._message_bytes = 0
        self._to_send = bytearray()
        self._clear_in = Transcript()
        self._clear_out = Transcript()
        self._decryptor: Decryptor | None = None
        self._encryptor: Encryptor | None = None

    @property
    def is_encrypted(self) -> bool:
        return self._encryptor is not None

    @property
    def is_between_messages(self) -> bool:
        return not self._received and not self._message

    def receive(self, received: bytes) -> None:
        self._received += received

    def data_to_send(self) -> bytes:
        sent = bytes(self._to_send)
        self._to_send.clear()
        return sent

    def next_message(self) -> bytes | None:
        """The next whole message, or None until there are more bytes."""
        while len(self._received) >= HEADER.size:
            header = bytes(self._received[: HEADER.size])
            is_last, length = parse_header(header)
            self._check_size(length)
            if len(self._received) < HEADER.size + length:
                return None
            self._message.append(self._take_frame(header, length))
            self._message_bytes += length
            self._check_frames()
            if is_last:
                return self._take_message()
        return None

    def send(self, message: bytes) -> None:
        for flag, piece in pieces(message):
            if self._encryptor:
                header = HEADER.pack(flag, len(piece) + self._encryptor.overhead)
                self._to_send += header + self._encryptor.encrypt(header, piece)
            else:
                frame = HEADER.pack(flag, len(piece)) + piece
                self._clear_out.add(frame)
                self._to_send += frame

    def encrypt(self, key: Secret, iv: bytes) -> None:
        """Use this key from here on, in both directions.  The transcripts in clear are bound to it."""
        if max(self._clear_in.length, self._clear_out.length) >= MAX_CLEAR_BYTES:
            raise TooLarge("too much was said before encryption", f"more than {MAX_CLEAR_BYTES} bytes")
        ours, theirs = self._clear_out.digest(), self._clear_in.digest()
        self._encryptor = Encryptor(key, ours + theirs, iv)
        self._decryptor = Decryptor(key, theirs + ours)

    def _check_size(self, length: int) -> None:
        if self._message_bytes + length > self.max_message_bytes:
            raise TooLarge("message too large", f"more than {self.max_message_bytes} bytes from this peer")

    def _check_frames(self) -> None:
        if len(self._message) > SPARE_FRAMES + self._message_bytes // BYTES_A_FRAME:
            raise TooLarge("too many frames in a message", f"{len(self._message)} for {self._message_bytes} bytes")

    def _take_frame(self, header: bytes, length: int) -> bytes:
        body = bytes(self._received[HEADER.size : HEADER.size + length])
        del self._received[: HEADER.size + length]
        if self._decryptor:
            text = self._decryptor.decrypt(header, body)
            self.max_message_bytes = self.proved_message_bytes
            return text
        self._clear_in.add(header + body)
        return body

    def _take_message(self) -> bytes:
        message = b"".join(self._message)
        self._message.clear()
        self._message_bytes = 0
        return message

    def cut_off(self) -> PeerError:
        """What it means that the peer's bytes ended where they did."""
        return MalformedMessage(
            "connection closed in the middle of a message",
            f"{len(self._received)} bytes of an unfinished frame were left",
            "see whether the client was stopped or a firewall ended the connection",
        )
