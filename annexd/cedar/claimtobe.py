"""CLAIMTOBE: the peer claims a name without proof (condor_auth_claim.cpp).

For networks in which every host is trusted.  The session is limited to the level of its command and the levels that it
implies (handshake.py).
"""

import re

from annexd.cedar.context import ServerContext
from annexd.cedar.dialogue import Dialogue, Exchange
from annexd.cedar.identity import Identity
from annexd.cedar.message import MessageReader
from annexd.cedar.method import MethodFailed
from annexd.cedar.naming import user_of

METHOD = "CLAIMTOBE"
_HAS_NAME, _BELIEVED, _REFUSED = 1, 1, 0
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,256}")  # logged, and stored with each session


def authenticate(dialogue: Dialogue) -> Exchange[Identity]:
    name = _claimed_name((yield from dialogue.receive()))
    if not _NAME.fullmatch(name):
        dialogue.send(dialogue.message().integer(_REFUSED))
        raise MethodFailed("the claimed name is empty, too long or not printable")
    dialogue.send(dialogue.message().integer(_BELIEVED))
    full = _with_domain(name, dialogue.context)
    return Identity(user_of(METHOD, full, dialogue.context, default=full), METHOD)


def _claimed_name(message: MessageReader) -> str:
    if message.integer() != _HAS_NAME:
        message.end()
        raise MethodFailed("the peer could not determine its own name")
    name = message.string()
    message.end()
    return name


def _with_domain(name: str, context: ServerContext) -> str:
    if not context.claimtobe_domain:
        return name
    user, at, domain = name.rpartition("@")
    return f"{user if at else name}@{domain if at and domain else context.uid_domain}"
