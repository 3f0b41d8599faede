"""DC_FETCH_LOG: condor_fetchlog reads a daemon's log through the daemon.

With AES each chunk of the file is a message (put_file of reli_sock.cpp).  Otherwise the file follows its announcement
as bare bytes.
"""

import asyncio
import os
import re
from pathlib import Path
from typing import BinaryIO

from annexd.daemoncore.commands.call import Call
from annexd.daemoncore.config.parameters import param
from annexd.daemoncore.regular_file import open_regular

PLAIN_LOG = 0  # DC_FETCH_LOG_TYPE_PLAIN
SUCCESS, NO_NAME, CANNOT_OPEN, BAD_TYPE = 0, 1, 2, 3  # DC_FETCH_LOG_RESULT_*
CHUNK_BYTES = 262144  # AES_FILE_BUF_SZ of reli_sock.cpp
EMPTY_FILE = 666  # PUT_FILE_EOM_NUM, which stands for the bytes of an empty file
LOG_NAME = re.compile(r"(?P<subsystem>[A-Za-z0-9_]+)(?P<extension>\.[^/\0]*)?")


class CannotFetch(Exception):
    """The log cannot be sent; `result` is the code that the client gets."""

    def __init__(self, result: int) -> None:
        super().__init__(result)
        self.result = result


async def fetch_log(call: Call) -> None:
    message = call.payload()
    kind, name = message.integer(), message.string()
    message.end()
    try:
        file = await asyncio.to_thread(open_log, kind, name)
    except CannotFetch as refusal:
        call.connection.reply(call.connection.message().integer(refusal.result))
        return
    with file:
        await _send(call, file, os.fstat(file.fileno()).st_size)


def open_log(kind: int, name: str) -> BinaryIO:
    """Open the file of NAME_LOG for `NAME`, and with `.extension` for `NAME.extension`.  Raises CannotFetch."""
    if kind != PLAIN_LOG:
        raise CannotFetch(BAD_TYPE)
    match = LOG_NAME.fullmatch(name)
    path = param(f"{match['subsystem']}_LOG") if match else None
    if match is None or path is None:
        raise CannotFetch(NO_NAME)
    try:
        return os.fdopen(open_regular(Path(path + (match["extension"] or "")), os.O_RDONLY), "rb")
    except OSError as error:
        raise CannotFetch(CANNOT_OPEN) from error


async def _send(call: Call, file: BinaryIO, size: int) -> None:
    """Send the first `size` bytes: the log may grow while it is sent."""
    announcement = call.connection.message().integer(SUCCESS).integer(size)
    if call.connection.sends_files_in_messages:
        announcement.integer(CHUNK_BYTES)
    call.connection.reply(announcement)
    if size == 0:
        call.connection.reply(call.connection.message().integer(EMPTY_FILE))
    while size > 0:
        chunk = await asyncio.to_thread(file.read, min(size, CHUNK_BYTES))
        if not chunk:
            raise EOFError("the log was truncated while it was being sent")
        size -= len(chunk)
        await call.send_chunk(chunk)
