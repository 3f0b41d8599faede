"""Open a TCP port on which connections wait until they are accepted."""

import socket

BACKLOG = 500  # SOCKET_LISTEN_BACKLOG's default


def tcp_socket(host: str, port: int) -> socket.socket:
    """Return a bound and listening TCP socket.  Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listening.setblocking(False)
    return listening
