"""How one method of authentication ends without success."""


class MethodFailed(Exception):
    """This method did not prove who the peer is; another one still may.  The text is for the log only."""
