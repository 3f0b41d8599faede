"""What a test asks of the reply to a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def accepted(reply: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The reply, of a request that was accepted; the whole of it is shown where it was not."""
    assert reply is not None
    assert reply["Result"] == "Success", reply
    return reply
