"""A check of the reply to a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def accepted(reply: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the reply if the request was accepted; otherwise fail and show the whole reply."""
    assert reply is not None
    assert reply["Result"] == "Success", reply
    return reply
