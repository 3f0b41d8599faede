"""docs/cedar-protocol.md describes the wire protocol as the code implements it."""

import re
from collections.abc import Iterator

from annexd.cedar.authentication import METHODS
from annexd.cedar.classad import HANDSHAKE_AD, AdLimits
from annexd.cedar.context import Limits
from annexd.cedar.frame import MAX_BODY_BYTES, MAX_PLAIN_BYTES
from annexd.cedar.policy import RECONCILED, Requirement
from annexd.cedar.session import SLOP_S
from test.cedar.recording import CLIENT, load
from test.texts import TOP, fenced

PAGE = TOP / "docs" / "cedar-protocol.md"
TEXT = PAGE.read_text(encoding="utf-8")
PROSE = " ".join(TEXT.split())
RESULTS = {"YES": True, "NO": False, "fail": None}
MESSAGE = re.compile(r"^ *(client|annexd)->>(?:client|annexd): ([0-9]+) bytes: ", re.MULTILINE)


def _rows(heading: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the table whose first cell is `heading`."""
    lines = TEXT[TEXT.index(f"| {heading} |") :].splitlines()
    for line in lines[2:]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def test_the_methods_have_the_bits_and_modules_of_the_page() -> None:
    described = {method: (int(bit), module.strip("`")) for method, bit, module, *_ in _rows("method")}
    modules = {name: method.run.__code__.co_filename.rpartition("/")[2] for name, method in METHODS.items()}
    assert described == {name: (method.bit, modules[name]) for name, method in METHODS.items()}


def test_requirements_are_reconciled_by_the_table_of_the_page() -> None:
    [servers] = re.findall(r"^\| client \\ server \| (.+) \|$", TEXT, re.MULTILINE)
    described = {
        (Requirement[client], Requirement[server]): RESULTS[cell]
        for client, *cells in _rows("client \\ server")
        for server, cell in zip(servers.split(" | "), cells, strict=True)
    }
    assert described == RECONCILED


def test_the_diagram_has_the_messages_of_the_recording() -> None:
    [diagram] = fenced(PAGE, "mermaid")
    recorded = [
        ("client" if frame.sender == CLIENT else "annexd", len(text))
        for frame, text in load("srv_fs_bulk_25").messages()
    ]
    assert [(sender, int(length)) for sender, length in MESSAGE.findall(diagram)] == recorded


def test_every_module_and_test_that_the_page_names_exists() -> None:
    known = {path.name for room in ("annexd", "test/cedar") for path in (TOP / room).rglob("*.py")}
    named = set(re.findall(r"`(\w+\.py)`", TEXT))
    assert named
    assert named <= known


def test_the_limits_are_those_of_the_page() -> None:
    limits, ad = Limits(), AdLimits()
    for stated in (
        f"1 to {MAX_BODY_BYTES:,}",
        f"up to {MAX_PLAIN_BYTES:,} bytes",
        f"{limits.handshake_message_bytes // 1024} kB until",
        f"then {limits.command_message_bytes // 1024**2} MiB",
        f"{ad.attributes:,} attributes, {ad.values:,} values or {ad.depth} levels",
        f"at most {HANDSHAKE_AD.attributes} attributes",
        f"{SLOP_S} seconds more",
    ):
        assert stated in PROSE
