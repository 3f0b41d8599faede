"""Errors caused by a peer, with one text for the administrator and one for the peer.

PeerError is the only exception that bytes from the network can cause.  The caller sends what data_to_send() still
holds, closes the connection and logs str(error).  HTCondor's protocol has no error message before a command runs, so
tell_peer reaches the peer only in a reply ad.
"""


class PeerError(Exception):
    """The peer violated the protocol or a policy; the connection ends.

    what: the fault.  why: what was received, and what was expected.  next_step: what an administrator can do.
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
        self, what: str, why: str, next_step: str = "check whether this peer speaks HTCondor's protocol"
    ) -> None:
        super().__init__(what, why, next_step, tell_peer=what)


class TooLarge(PeerError):
    """More bytes, values or levels than this daemon accepts from a peer in this state."""

    def __init__(self, what: str, why: str, next_step: str = "send less, or raise the limit") -> None:
        super().__init__(what, why, next_step, tell_peer=what)


class Tampered(PeerError):
    """A protected frame does not verify: modified, replayed, out of order, or under a different key."""


class PolicyMismatch(PeerError):
    """The security policies of the two sides exclude each other."""


class AuthenticationFailed(PeerError):
    """No method proved who the peer is."""


class AuthorizationDenied(PeerError):
    """The peer lacks the permission for this command."""


class UnknownCommand(PeerError):
    """This daemon has not registered the command number."""


class UnknownSession(PeerError):
    """The session has expired or is of an earlier process.  Expected after a restart."""


class UnprovedSession(PeerError):
    """The peer resumes a session for a command that cannot prove its key."""
