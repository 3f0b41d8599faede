"""Detect damage in the middle of SQLite's write-ahead log.

SQLite reads the log up to the first frame with a wrong checksum and silently drops the rest.  At the end of the log
that is right: a write interrupted by a crash was never confirmed.  But a bit flipped in the middle would drop confirmed
records, and so lose requests silently.  So the log is checked before SQLite opens it.  Format:
https://www.sqlite.org/fileformat2.html#walformat
"""

import struct
from typing import Final

MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}  # magic -> byte order of the checksums
HEADER: Final = struct.Struct(">8I")  # magic, format, page size, checkpoint, salts (2), checksum (2)
FRAME: Final = struct.Struct(">6I")  # page, size of the database after a commit or 0, salts (2), checksum (2)
PAGE_SIZES: Final = frozenset(2**power for power in range(9, 17))
Sum = tuple[int, int]


def lost_commits(log: bytes) -> int:
    """Count the confirmed transactions after a damaged frame, which SQLite would drop.

    The newest one is not counted: a crash may have torn it before it was confirmed.
    """
    if len(log) < HEADER.size + FRAME.size:
        return 0
    magic, _, page_size, _, *salts, sum0, sum1 = HEADER.unpack_from(log)
    order, running = MAGIC.get(magic, ""), (0, 0)
    if order:
        running = _checksum(order, log[: HEADER.size - 8], running)
    if running != (sum0, sum1) or not order or page_size not in PAGE_SIZES:
        return _commits_behind_a_broken_header(log)
    frames = _frames(log, page_size)
    good = _good_frames(log, frames, page_size, order, tuple(salts), running)
    return _beyond(log, frames[good:], tuple(salts))


def _frames(log: bytes, page_size: int) -> range:
    """Return the offsets of all complete frames."""
    step = FRAME.size + page_size
    return range(HEADER.size, len(log) - step + 1, step)


def _good_frames(log: bytes, frames: range, page_size: int, order: str, salts: tuple[int, ...], running: Sum) -> int:
    for number, at in enumerate(frames):
        _, _, *frame_salts, sum0, sum1 = FRAME.unpack_from(log, at)
        running = _checksum(order, log[at : at + 8], running)
        running = _checksum(order, log[at + FRAME.size : at + FRAME.size + page_size], running)
        if tuple(frame_salts) != salts or running != (sum0, sum1):
            return number
    return len(frames)


def _beyond(log: bytes, frames: range, salts: tuple[int, ...]) -> int:
    """Count commits with the log's salts, less the newest; frames left from an earlier round have other salts."""
    headers = (FRAME.unpack_from(log, at) for at in frames)
    found = [size_after for _, size_after, *its_salts, _, _ in headers if size_after and tuple(its_salts) == salts]
    return max(len(found) - 1, 0)


def _commits_behind_a_broken_header(log: bytes) -> int:
    _, _, *salts, _, _ = FRAME.unpack_from(log, HEADER.size)
    return max(_beyond(log, _frames(log, size), tuple(salts)) for size in PAGE_SIZES)


def _checksum(order: str, content: bytes, running: Sum) -> Sum:
    s0, s1 = running
    words = iter(struct.unpack(f"{order}{len(content) // 4}I", content))
    for first, second in zip(words, words, strict=True):
        s0 = (s0 + first + s1) & 0xFFFFFFFF
        s1 = (s1 + second + s0) & 0xFFFFFFFF
    return s0, s1
