"""FS: the peer proves its user by making a directory that this daemon names (condor_auth_fs.cpp).

The name contains this daemon's address.  Its trailing underscore asks the client (25.13 and later) to append the
address that it dialled.  So a relay cannot have the directory made for another daemon (HTCONDOR-3808, 3860, 3883).
"""

from annexd.cedar.dialogue import Dialogue, Exchange
from annexd.cedar.events import NeedFilesystemProof
from annexd.cedar.identity import Identity
from annexd.cedar.method import MethodFailed
from annexd.cedar.naming import user_of

METHOD = "FS"
_RANDOM_CHARACTERS = 9  # 45 bits; guessing them proves only the user's own identity
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_READABLE = _ALPHABET * (256 // len(_ALPHABET))  # maps bytes to characters uniformly
_DONE, _FAILED = 0, -1


def authenticate(dialogue: Dialogue) -> Exchange[Identity]:
    directory = _new_name(dialogue)
    dialogue.send(dialogue.message().string(directory))
    message = yield from dialogue.receive()
    is_made = message.integer() == _DONE
    extension = message.string() if message.remaining else ""
    message.end()
    fault = "the peer could not make the directory" if not is_made else _fault_of(extension, dialogue)
    owner = None if fault else (yield from _owner(directory + extension))
    dialogue.send(dialogue.message().integer(_FAILED if owner is None else _DONE))
    if owner is None:
        raise MethodFailed(
            fault
            or f"{directory + extension} is not a directory made by the peer for this purpose, or "
            "its owner has no account on this host"
        )
    context = dialogue.context
    name = context.condor_user if owner == "root" and context.root_to_condor else owner
    full = f"{name}@{context.uid_domain}"
    return Identity(user_of(METHOD, name, context, default=full), METHOD)


def _owner(path: str) -> Exchange[str | None]:
    owner: str | None = yield NeedFilesystemProof(path)
    return owner


def _new_name(dialogue: Dialogue) -> str:
    local, context = dialogue.local, dialogue.context
    unique = context.random(_RANDOM_CHARACTERS).translate(_READABLE).decode()
    return f"{context.fs_directory}/FS_{local.ip}_{local.port}_{unique}_"


def _fault_of(extension: str, dialogue: Dialogue) -> str:
    """Return what is wrong with the text that the peer appended; "" if nothing."""
    if not extension:
        return ""  # 23.x and earlier append nothing
    if "/" in extension:
        return "the peer appended a path to the directory's name"
    dialled, marker, shared_port_id = extension.partition("?sock=")
    if dialled not in _own_addresses(dialogue):
        return f"the peer dialled {dialled[:60]!r}, which is not an address of this daemon"
    if marker and shared_port_id != dialogue.local.shared_port_id:
        return f"the peer dialled shared port ID {shared_port_id[:60]!r}, which is not this daemon's"
    return ""


def _own_addresses(dialogue: Dialogue) -> tuple[str, ...]:
    local = dialogue.local
    host = f"[{local.ip}]" if ":" in local.ip else local.ip
    return (f"{host}:{local.port}", *dialogue.context.advertised)
