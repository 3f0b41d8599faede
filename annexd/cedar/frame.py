"""Split messages into CEDAR's frames (reli_sock.cpp).

1 byte   0: more frames of this message follow; 1 to 10: the last one
4 bytes  length of the body, big-endian
16 bytes MD5 of key and body, with a legacy cipher and integrity only (legacy.py)
n bytes  body
"""

import struct

from annexd.cedar.errors import MalformedMessage

HEADER = struct.Struct(">BI")
MORE, LAST = 0, 1
MAX_END_FLAG = 10  # reli_sock.cpp, rcv_packet
MAX_BODY_BYTES = 1024 * 1024  # reli_sock.cpp, rcv_packet
MAX_PLAIN_BYTES = MAX_BODY_BYTES - 64  # leaves room for what a cipher adds


def parse_header(header: bytes) -> tuple[bool, int]:
    """Return whether the frame is the last of its message, and the length of its body.  Raises MalformedMessage."""
    flag, length = HEADER.unpack_from(header)
    if flag > MAX_END_FLAG:
        raise MalformedMessage("malformed frame", f"its end flag is {flag}")
    if not 1 <= length <= MAX_BODY_BYTES:
        raise MalformedMessage("malformed frame", f"its length is {length}")
    return flag != MORE, length


def pieces(message: bytes) -> list[tuple[int, bytes]]:
    """Split a message into pieces that fit into frames, each with its end flag; none for an empty message."""
    if 0 < len(message) <= MAX_PLAIN_BYTES:
        return [(LAST, message)]
    starts = range(0, len(message), MAX_PLAIN_BYTES)
    return [
        (LAST if start + MAX_PLAIN_BYTES >= len(message) else MORE, message[start : start + MAX_PLAIN_BYTES])
        for start in starts
    ]
