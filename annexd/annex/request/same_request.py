"""Distinguish two requests with one CommandID: a repeated request must be the same.

A client that computes the end of the lease from a duration (-lease-duration) sends another end each time.  If the
duration is in the ad, it counts instead of the end.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from annexd.annex.request.ad_attributes import ADDED_BY_HTCONDOR
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.request import command_id_of
from annexd.workflow import Engine, State

ALWAYS_NEW: Final = frozenset({"commandid", "pricebounds"}) | ADDED_BY_HTCONDOR  # the bounds of a quote before it


def digest_of(ad: Mapping[str, Any]) -> str:
    """Return a digest of everything that a command ad requests."""
    asked = {name.lower(): value for name, value in ad.items() if name.lower() not in ALWAYS_NEW}
    if "leaseduration" in asked:
        asked.pop("endoflease", None)
    return sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def known_state(ad: Mapping[str, Any], owner: str, engine: Engine, *workflows: str) -> State | None:
    """Return the workflow that has this ad's CommandID; None for a new one.

    Raises NotOwner, or InvalidRequest if it belongs to another command or request.
    """
    command_id = command_id_of(ad)
    state = engine.find(command_id, owner) if command_id else None
    if state is None:
        return None
    if state.workflow not in workflows:
        raise InvalidRequest([f"CommandID {command_id} belongs to another command"])
    check_same(state, ad)
    return state


def check_same(state: State, ad: Mapping[str, Any]) -> None:
    """Raise InvalidRequest if another request started the workflow with this CommandID."""
    if state.asked and state.asked != digest_of(ad):
        message = f"CommandID {state.command_id} belongs to a request with other options or another file"
        raise InvalidRequest([f"{message}: repeat that request unchanged, or leave -command-id out for a new one"])
