"""ANONYMOUS: neither side proves anything (condor_auth_anonymous.cpp).

The user has no domain; only the map file can give it an identity.
"""

from annexd.cedar.dialogue import Dialogue, Exchange
from annexd.cedar.identity import ANONYMOUS_USER, Identity
from annexd.cedar.naming import user_of

METHOD = "ANONYMOUS"
_DONE = 1


def authenticate(dialogue: Dialogue) -> Exchange[Identity]:
    dialogue.send(dialogue.message().integer(_DONE))
    yield from ()  # every method is a generator; this one never waits
    return Identity(user_of(METHOD, ANONYMOUS_USER, dialogue.context, default=ANONYMOUS_USER), METHOD)
