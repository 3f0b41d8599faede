"""A pool and a daemon for machines that boot for real: they show who connects out, and whether anyone gets in."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from test.cloud.boot import Boot

BOOTS = "ami-0b0075f0a4ea1b007"  # the image of instances that boot

# A daemon in a session of its own, like HTCondor's.  It reports where it listens, and takes orders.
DAEMON = """
import os, socket, subprocess, sys
listening = socket.create_server(("127.0.0.1", 0))
out = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
subprocess.Popen(["sleep", "1000"], start_new_session=True)
out.sendall(f"{listening.getsockname()[1]} {os.getuid()}\\n".encode())
if out.recv(100) == b"shutdown\\n":
    subprocess.run(["shutdown", "-h", "now"])
"""


class Pool:
    """The listener that machines connect to."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(60)
        self.port = self._listening.getsockname()[1]

    def accept(self) -> tuple[socket.socket, int, int]:
        """Return the connection, the port that the daemon listens on, and its user ID."""
        connection, _ = self._listening.accept()
        port, uid = connection.makefile().readline().split()
        return connection, int(port), int(uid)

    def close(self) -> None:
        self._listening.close()


def booting(pool: Pool, folder: Path, isolated: bool = True) -> Boot:
    daemon = [sys.executable, "-c", DAEMON, str(pool.port)]
    return Boot(daemon, ["--patience=60"], {}, [pool.port], str(folder), BOOTS, maximum=2, isolated=isolated)
