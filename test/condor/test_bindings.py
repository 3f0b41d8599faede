"""No input crashes the process through HTCondor's bindings; each of these would without a check."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from test.condor.child import CALLS, NETWORK, Child
from test.programs import AS_ANNEXD

SURROGATE = "\ud800"
LOCAL = tuple(call for call in CALLS if call not in NETWORK)
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)  # includes lone surrogates and NUL
JSON_TEXT = st.recursive(
    ANY_TEXT | st.integers() | st.floats() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=15,
).map(json.dumps)


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.close()


def output_of(program: str) -> str:
    """Run a program in its own process and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "CONDOR_CONFIG": "ONLY_ENV"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr[-500:]}"
    return done.stdout.strip()


@pytest.mark.parametrize(
    "claims", ['{"x": "\\ud800"}', '{"\\ud800": 1}', '{"x": "a\\u0000b"}', '{"": 1}', f'{{"{"n" * 300}": 1}}']
)
def test_a_token_whose_claims_the_bindings_cannot_hold_is_revoked(claims: str) -> None:
    program = "\n".join(
        (
            "import json",
            "from annexd.daemoncore.security.revocation import Revocation",
            f"print(Revocation('jti == \"x\" && false').is_revoked(json.loads({claims!r})))",
        )
    )
    assert output_of(program) == "True"


def test_a_claim_that_the_expression_does_not_name_revokes_nothing() -> None:
    program = "\n".join(
        (
            "from annexd.daemoncore.security.revocation import Revocation",
            "print(Revocation('sub == \"x\"').is_revoked({'sub': 'alice', 'wlcg.ver': '1.0', 'big': 2**70, 'o': {}}))",
        )
    )
    assert output_of(program) == "False"


@pytest.mark.parametrize("attribute", ["AnnexFunctionWarning", "AnnexStuckReason", "AnnexJournalError"])
def test_foreign_text_in_the_daemons_ad_does_not_crash_it(attribute: str) -> None:
    program = "\n".join(
        (
            "from annexd.daemoncore.pool.collector import Advertiser, DaemonIdentity, Publication",
            AS_ANNEXD,
            "from annexd.daemoncore.pool.outbound import Outbound",
            f"attributes = lambda: {{{attribute!r}: 'the handler is \"\\ud800.x\\0\"', 'AnnexStuck': 2}}",
            "advertiser = Advertiser(Outbound({}), Publication((), 300, {}), attributes)",
            "advertiser.identity = DaemonIdentity('annexd@host', 'host', '<127.0.0.1:1>', '25.14.1', 'x86_64')",
            f"print([(ascii(ad.eval({attribute!r})), ad.eval('AnnexStuck')) for ad in advertiser.ads()][0])",
        )
    )
    assert output_of(program) == repr((ascii('the handler is "\ufffd.x\ufffd"'), 2))


@pytest.mark.parametrize("expression", ["'1+' * 300_000 + '1'", "'\\ud800'", "'1\\0'", "'(' * 20_000"])
def test_an_expression_that_is_too_deep_or_invalid_text_is_rejected(expression: str) -> None:
    program = "\n".join(
        ("from annexd.daemoncore.config.parameters import is_expression", f"print(is_expression({expression}))")
    )
    assert output_of(program) == "False"


@pytest.mark.parametrize(
    "text",
    ["<127.0.0.1:-1>", "<127.0.0.1:99999>", "<a", "", "<127.0.0.1:1?\0>", f"<{SURROGATE}:1>", f"<{'a' * 5000}:1>"],
)
@pytest.mark.parametrize("call", ["alive", "exchange", "ping"])
def test_a_malformed_address_is_refused(child: Child, call: str, text: str) -> None:
    assert (child.call(call, text, 1, network_s=60.0) or "").startswith("refused")


@pytest.mark.parametrize(
    ("call", "text", "number"),
    [
        ("order", SURROGATE, 1),
        ("order", "x", 99_999),
        ("order", "x", 2**64),
        ("parse_ad", f"[x = {SURROGATE}]", 0),
        ("expression", "1+" * 1000, 999),
        ("expression", "1+" * 15_000 + "1", 1),
        ("quote", "\0", 0),
        ("knob", "X=$(X)$(X)", 0),
        ("knob", "X=$INT(x)", 0),
        ("knob", f"X={SURROGATE}", 0),
        ("locate", 'a" || true', 0),
    ],
)
def test_a_fatal_or_ambiguous_argument_is_refused(child: Child, call: str, text: str, number: int) -> None:
    assert (child.call(call, text, number, network_s=60.0) or "").startswith("refused")


@pytest.mark.parametrize(
    ("call", "text", "number", "expected"),
    [
        ("expression", "N + 1", 1, "accepted: '2'"),
        ("quote", 'a"é', 0, "accepted:"),
        ("knob", "X=a$(Y)b", 0, "accepted: 'ab'"),
        ("claims", '{"jti": "x"}', 0, "accepted: 'True'"),
        ("order", "é" * 1000, 20, "accepted:"),
        ("ad", "\0", 2**64, "accepted:"),
        ("log", SURROGATE * 10_000, 0, "accepted:"),
        ("expression", '"' + "(+" * 20_000 + '"', 0, "accepted:"),
        ("param", SURROGATE, 0, "accepted: 'None'"),
        ("param", "A" * 10_000, 0, "accepted: 'None'"),
    ],
)
def test_harmless_arguments_are_accepted(child: Child, call: str, text: str, number: int, expected: str) -> None:
    assert (child.call(call, text, number) or "").startswith(expected)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=st.sampled_from(LOCAL), text=ANY_TEXT | JSON_TEXT, number=st.integers())
def test_the_bindings_survive_any_text_and_number(child: Child, call: str, text: str, number: int) -> None:
    assert child.call(call, text, number)
