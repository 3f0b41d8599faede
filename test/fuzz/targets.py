"""The fuzzing targets: each reader of external input as a function of bytes that fails only if the reader is faulty.

A target raises nothing for correctly refused input.  Any exception is a finding, and so is an error message too long
for a log line.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

from annexd.annex.cancel import CancelRequest
from annexd.annex.join.machine_config import machine_config
from annexd.annex.request.faults import InvalidRequest
from annexd.annex.request.order import new_order
from annexd.annex.request.request import BulkRequest
from annexd.authorization.map_file import MapFile
from annexd.cedar import akep2
from annexd.cedar.classad import HANDSHAKE_AD, AdLimits, AdReader, Value, line_of
from annexd.cedar.errors import PeerError
from annexd.cedar.message import MessageReader, MessageWriter
from annexd.cedar.method import MethodFailed
from annexd.cedar.session import inherited_sessions
from annexd.cedar.subject import MalformedSubject, oneline
from annexd.cedar.token import parse_token
from annexd.daemoncore.log import one_line
from annexd.daemoncore.process.inheritance import Inheritance, MalformedInheritance
from annexd.daemoncore.security.revocation import Revocation
from annexd.daemoncore.sinful import Sinful, read_shared_port_address
from annexd.tool import config_file
from annexd.tool.errors import ToolError
from annexd.tool.options import ToolOptions
from test.annex.ads import ARN, NOW_S, OWNER
from test.annex.joining import defaults
from test.cedar.tokens import POOL_KEY
from test.condor.child import CALLS, Child
from test.fuzz.conversations import (
    MAX_ERROR_CHARACTERS,
    InvariantBroken,
    encrypted_messages,
    framed_messages,
    legacy_bytes,
    legacy_messages,
    raw_bytes,
)

OPTIONS = 5  # bytes before the text for the bindings
Target = Callable[[bytes], None]
DEFAULTS = defaults(lease_function_arn=ARN)
REVOCATION = Revocation('jti == "revoked" || member(sub, {"mallory@annex.test"}) || iat < 1000')


def handshake_ad(received: bytes) -> None:
    ad = ad_of(received, HANDSHAKE_AD)
    for name, value in ad.items():
        assert not isinstance(value, list | dict), f"{name} is nested"
        copy = ad_of(line_of(name, value).encode(), HANDSHAKE_AD) if survives(value) else {name: value}
        if copy != {name: value}:
            raise InvariantBroken(f"{value!r} is read as {copy}")
    lines = received.decode(errors="replace").split("\0")
    message = MessageWriter(encrypted=False).integer(len(lines)).raw("\0".join([*lines, *3 * [""]]).encode()).body()
    at_once, by_line = (_lower_names(reader, message) for reader in (MessageReader.handshake_ad, MessageReader.ad))
    if at_once != by_line:
        raise InvariantBroken(f"read at once: {at_once}; line by line: {by_line}")


def _lower_names(read: Callable[[MessageReader], Mapping[str, Value]], message: bytes) -> str | None:
    """Read an ad; return its repr, in which 1 differs from True, or None if refused."""
    try:
        ad = read(MessageReader(message, encrypted=False, ad_limits=HANDSHAKE_AD))
    except PeerError:
        return None
    return repr({name.lower(): value for name, value in ad.items()})


def command_ad(received: bytes) -> None:
    ad_of(received, AdLimits())


def ad_of(received: bytes, limits: AdLimits) -> dict[str, Value]:
    reader = AdReader(limits)
    try:
        for line in received.decode(errors="replace").split("\0"):
            reader.line(line)
    except PeerError as error:
        check_length(str(error))
    return reader.attributes


def survives(value: Value) -> bool:
    """Return whether a value is written unchanged; classad.py changes NUL, and a quote before a newline."""
    return not isinstance(value, str) or ('"\n' not in value and "\0" not in value)


def check_length(text: str) -> None:
    if len(one_line(text)) > 4 * MAX_ERROR_CHARACTERS:
        raise InvariantBroken(f"{len(text)} characters for the log: {text[:200]}")


def token(received: bytes) -> None:
    """Check a token as the handshake does before its proof."""
    text = received.decode(errors="replace")
    try:
        found = parse_token(text)
        found.check_age(NOW_S, 3600)
    except MethodFailed as error:
        check_length(str(error))
        return
    REVOCATION.is_revoked(found.claims)
    akep2.shared_key(POOL_KEY, found.algorithm, found.text)
    check_length(f"{found.key_id!r}")


def inherit(received: bytes) -> None:
    try:
        Inheritance.from_environment({"CONDOR_INHERIT": received.decode(errors="surrogateescape")})
    except MalformedInheritance as error:
        check_length(str(error))


def private_inherit(received: bytes) -> None:
    inherited_sessions(received.decode(errors="surrogateescape"))


def sinful(received: bytes) -> None:
    try:
        address = Sinful.parse(received.decode(errors="replace"))
    except ValueError as error:
        check_length(str(error))
        return
    assert Sinful.parse(str(address)) == address


def shared_port_ad(received: bytes) -> None:
    try:
        read_shared_port_address(_file(received))
    except ValueError as error:
        check_length(str(error))


def map_file(received: bytes) -> None:
    """Match short names only, since the expressions are the administrator's and may be slow."""
    text = received[1:].decode(errors="replace")
    literal = bool(received[:1] < b"\x80")
    found = MapFile.read("/map", lambda path: [(path, text)], literal_keys=literal)
    for method in found.rules:
        found.canonical_user(method, "/CN=a")


def request_file(received: bytes) -> None:
    try:
        config_file.read(ToolOptions(file=str(_file(received)), target_capacity=1, user_data="#!"))
    except ToolError:
        return


def bulk_request(received: bytes) -> None:
    ad = ad_of(received, AdLimits())
    try:
        order = new_order(BulkRequest.from_ad(ad, NOW_S, DEFAULTS), OWNER)
        if order.join:
            machine_config(order.join, order.annex_id, order.shown_name, order.end_of_lease_s)
    except InvalidRequest as error:
        check_length(str(error)[:MAX_ERROR_CHARACTERS])  # many faults make a long message


def cancel_request(received: bytes) -> None:
    ad = ad_of(received, AdLimits())
    try:
        CancelRequest.from_ad(ad)
    except InvalidRequest as error:
        check_length(str(error)[:MAX_ERROR_CHARACTERS])


def subject(received: bytes) -> None:
    try:
        oneline(received)
    except MalformedSubject as error:
        check_length(str(error))


def bindings(received: bytes) -> None:
    """Call the bindings with a number and a text; invalid UTF-8 becomes lone surrogates."""
    if len(received) >= OPTIONS:
        call = tuple(CALLS)[received[0] % len(CALLS)]
        number = int.from_bytes(received[1:OPTIONS], "big", signed=True)
        _child().call(call, received[OPTIONS:].decode(errors="surrogateescape"), number)


@cache
def _child() -> Child:
    return Child()


@cache
def _scratch() -> str:
    with NamedTemporaryFile(prefix="annexd-fuzz-", delete=False) as file:
        return file.name


def _file(content: bytes) -> Path:
    path = Path(_scratch())
    path.write_bytes(content)
    return path


def forget() -> None:
    """Remove the scratch file and stop the process of the bindings."""
    _child().close()
    Path(_scratch()).unlink()
    _scratch.cache_clear()


TARGETS: Mapping[str, Target] = {
    target.__name__: target
    for target in (
        raw_bytes,
        framed_messages,
        encrypted_messages,
        legacy_messages,
        legacy_bytes,
        handshake_ad,
        command_ad,
        token,
        inherit,
        private_inherit,
        sinful,
        shared_port_ad,
        map_file,
        request_file,
        bulk_request,
        cancel_request,
        subject,
        bindings,
    )
}
