"""PASSWORD: both sides prove that they know the pool password (condor_auth_passwd.cpp, version 1).

There is only one user: every holder of the password is a daemon of the pool.  The map file does not apply.
"""

from annexd.cedar import akep2
from annexd.cedar.akep2_exchange import Opening, pool_user, prove_and_check, receive_opening, refuse
from annexd.cedar.dialogue import Dialogue, Exchange
from annexd.cedar.identity import Identity
from annexd.cedar.method import MethodFailed
from annexd.cedar.secret import Secret

METHOD = "PASSWORD"


def authenticate(dialogue: Dialogue) -> Exchange[Identity]:
    opening = yield from receive_opening(dialogue, has_token=False)
    try:
        key = _shared_key(opening, dialogue)
    except MethodFailed:
        yield from refuse(dialogue)
        raise
    yield from prove_and_check(dialogue, opening, key)
    return Identity(pool_user(dialogue), METHOD)


def _shared_key(opening: Opening, dialogue: Dialogue) -> Secret:
    opening.check()
    if not _is_pool(opening.name, pool_user(dialogue)):
        raise MethodFailed("the peer's name is not the pool user")
    password = dialogue.context.pool_password
    if password is None:
        raise MethodFailed("this daemon has no pool password")
    return akep2.password_key(password)


def _is_pool(name: str, expected: str) -> bool:
    """Return whether a name is the pool user.  Peers before 23.9 append their own domain, which is ignored."""
    if expected.startswith("condor_pool@"):
        return name.partition("@")[:2] == ("condor_pool", "@")
    return name == expected
