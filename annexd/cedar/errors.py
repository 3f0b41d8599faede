"""What can go wrong because of a peer, in words for the administrator and in words for the peer.

PeerError is the only exception that bytes from the network may cause.  The rim sends what data_to_send()
still holds, closes the connection and logs str(error).  HTCondor's protocol has no message for errors before
a command is running, so tell_peer reaches the peer only where a reply ad exists to carry it.
"""


class PeerError(Exception):
    """The peer broke a rule; the connection is over.

    what: the fault; why: what was seen, and what would have been right; next_step: what an administrator can
    do;
    tell_peer: what the peer may know.
    """

    def __init__(self, what: str, why: str, next_step: str, tell_peer: str = "the request was refused") -> None:
        super().__init__(what, why, next_step, tell_peer)
        self.what = what
        self.why = why
        self.next_step = next_step
        self.tell_peer = tell_peer

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.next_step}"


class MalformedMessage(PeerError):
    """Bytes that HTCondor's protocol does not allow."""

    def __init__(
        self, what: str, why: str, next_step: str = "see whether this peer speaks HTCondor's protocol"
    ) -> None:
        super().__init__(what, why, next_step, tell_peer=what)


class TooLarge(PeerError):
    """More bytes, values or levels than this daemon takes from a peer in this state."""

    def __init__(self, what: str, why: str, next_step: str = "send less, or raise the limit") -> None:
        super().__init__(what, why, next_step, tell_peer=what)


class Tampered(PeerError):
    """An encrypted frame that does not verify: changed, repeated, out of order, or under another key."""


class PolicyMismatch(PeerError):
    """The security policies of the two sides exclude each other."""


class AuthenticationFailed(PeerError):
    """No method proved who the peer is."""


class AuthorizationDenied(PeerError):
    """The peer is known, or is allowed to be unknown, but may not give this command."""


class UnknownCommand(PeerError):
    """A command number that this daemon has not registered."""


class UnknownSession(PeerError):
    """A session that has expired or was made by an earlier process.  To be expected after a restart."""


class UnprovedSession(PeerError):
    """A session named for a command that could not show its key."""
