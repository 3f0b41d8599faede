"""Try authentication methods: the peer offers, this daemon picks, until one succeeds or none is left.

Each method is a module and an entry in METHODS.  (authentication.cpp, Authentication::authenticate_continue)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from annexd.cedar import anonymous, claimtobe, filesystem, idtokens, password, tls
from annexd.cedar.dialogue import Dialogue, Exchange
from annexd.cedar.errors import AuthenticationFailed
from annexd.cedar.identity import Identity
from annexd.cedar.method import MethodFailed
from annexd.cedar.naming import with_lower_domain
from annexd.cedar.policy import canonical_method


@dataclass(frozen=True)
class Method:
    """bit: its bit in the mask (condor_auth.h).  run: the server side; returns the identity or raises MethodFailed."""

    bit: int
    run: Callable[[Dialogue], Exchange[Identity]]


METHODS: Mapping[str, Method] = {
    "CLAIMTOBE": Method(2, claimtobe.authenticate),
    "FS": Method(4, filesystem.authenticate),
    "ANONYMOUS": Method(128, anonymous.authenticate),
    "SSL": Method(256, tls.authenticate),
    "PASSWORD": Method(512, password.authenticate),
    "IDTOKENS": Method(2048, idtokens.authenticate),
}


def authenticate(dialogue: Dialogue, agreed: tuple[str, ...]) -> Exchange[Identity]:
    """Return the peer's identity by the first agreed method that succeeds.  Tries each once.

    Raises AuthenticationFailed, with the reason of each method, after informing the peer that no method is left.
    """
    left = [name for name in map(canonical_method, agreed) if name in METHODS]
    reasons: list[str] = []
    while True:
        mask = yield from _offer(dialogue)
        pick = next((name for name in left if METHODS[name].bit & mask), None)
        dialogue.send(dialogue.message().integer(METHODS[pick].bit if pick else 0))
        if pick is None:
            raise _failure(reasons)
        left.remove(pick)
        try:
            identity = yield from METHODS[pick].run(dialogue)
        except MethodFailed as failed:
            reasons.append(f"{pick}: {failed}")
        else:
            user = with_lower_domain(identity.user)
            return identity if user == identity.user else replace(identity, user=user)


def _offer(dialogue: Dialogue) -> Exchange[int]:
    message = yield from dialogue.receive()
    mask = message.integer()
    message.end()
    return mask


def _failure(reasons: list[str]) -> AuthenticationFailed:
    return AuthenticationFailed(
        what="authentication failed",
        why="; ".join(reasons) or "the peer supports no method that this daemon accepts",
        next_step="compare the client's SEC_CLIENT_AUTHENTICATION_METHODS with SEC_DEFAULT_AUTHENTICATION_METHODS here",
        tell_peer="authentication failed",
    )
