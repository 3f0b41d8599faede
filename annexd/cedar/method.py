"""The failure of one authentication method."""


class MethodFailed(Exception):
    """This method did not prove the peer's identity; another may.  The text is for the log only."""
