"""ClassAds are read and written as in HTCondor; everything else is refused."""

import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.cedar.classad import AdLimits, AdReader, Scalar, Value, line_of
from annexd.cedar.errors import MalformedMessage, PeerError, TooLarge
from annexd.cedar.message import MessageReader, MessageWriter

QUICKLY_S = 10.0  # of this thread's time; a quadratic algorithm takes hours for 4 MB


def _read(expression: str, limits: AdLimits | None = None) -> Value:
    reader = AdReader(limits or AdLimits())
    reader.line(f"A = {expression}")
    return reader.attributes["A"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("0", 0),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("1.0", 1.0),
        (".5", 0.5),
        ("-0.25", -0.25),
        ("1E+20", 1e20),
        ("1.5e-07", 1.5e-7),
        ("010.5", 10.5),
        ("true", True),
        ("FALSE", False),
        ("undefined", None),
        ('""', ""),
        ('"a b"', "a b"),
        (r'"say \"hi\""', 'say "hi"'),
        (r'"C:\temp\new"', r"C:\temp\new"),
        ('"ends in backslash\\"', "ends in backslash\\"),
        (r'"\\"x"', r"\"x"),
        ('"two\nlines"', "two\nlines"),
        ('"quote \\"\nline"', 'quote "\nline'),
        ('"é 日本"', "é 日本"),
        ("{ }", []),
        ('{ 1,2.5,"x",true,undefined }', [1, 2.5, "x", True, None]),
        ("{{},{{ 1 }}}", [[], [[1]]]),
        ("[ ]", {}),
        ('[ a = 1; B = "x;y" ]', {"a": 1, "B": "x;y"}),
        ("[a=1;]", {"a": 1}),
        ("[ 'odd name' = 1; 'it\\'s' = 2 ]", {"odd name": 1, "it's": 2}),
        ('[ a = { [ b = "q\\"" ] } ]', {"a": [{"b": 'q"'}]}),
        ("[ true = 1; is = 2 ]", {"true": 1, "is": 2}),
        ("  1  ", 1),
    ],
)
def test_literals_lists_and_nested_ads_are_read(expression: str, value: Value) -> None:
    found = _read(expression)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "expression",
    [
        "", "error", "x", "MY.x", "TARGET", "-", "+1", "1+1", "-(1)", "(1)", "!true", "a.b", "f()", "f(1)",
        'strcat("a","b")', 'real("NaN")', "time()", "1 == 1", '"a" "b"', '"a" + "b"', "{1}[0]", "[a=1].a", "x ? 1 : 2",
        "{ 1,}", "{ ,1}", "{ 1 2 }", "{ 1", "1 }", "[ a ]", "[ a = ]", "[ a = 1", "[ 1 = a ]", "[ a = 1 b = 2 ]",
        "[ a = 1, b = 2 ]", "[ a = 1; A = 2 ]", "[ = 1 ]", "{ x }", "[ a = b ]", "{ 1+1 }", "[ a = f() ]",
        "010", "09", "0x1F", "1.", "1e", "1e999", "-1e999", "9223372036854775808", "-9223372036854775809", "1K", "1_0",
        "٣", "1" * 500, "0." + "1" * 500, '"', '"abc', 'abc"', "'x'", "/* */ 1", "$$(x)", "1;2", "\x00", "= 1",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_the_name_of_the_attribute(expression: str) -> None:
    with pytest.raises(MalformedMessage, match="attribute A is not a plain value"):
        _read(expression)


def test_the_text_of_a_refused_attribute_is_not_repeated() -> None:
    with pytest.raises(MalformedMessage) as caught:
        _read('secret("hunter2")')
    assert "hunter2" not in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("line", ["", "A", "= 1", "1A = 1", "A B = 1", "A-B = 1", "'A' = 1", "é = 1", "\x00A = 1"])
def test_a_line_without_a_name_is_refused(line: str) -> None:
    with pytest.raises(MalformedMessage, match="Name = value"):
        AdReader(AdLimits()).line(line)


def test_a_duplicate_attribute_is_refused_regardless_of_case() -> None:
    reader = AdReader(AdLimits())
    reader.line("User = 1")
    with pytest.raises(MalformedMessage, match="duplicated"):
        reader.line("USER = 1")


@pytest.mark.parametrize(
    "bomb",
    [
        "1" + "+1" * 2_000_000,
        "(" * 4_000_000,
        "{" * 4_000_000,
        "[a=" * 1_000_000,
        "-" * 4_000_000,
        "{1," * 1_000_000,
        '"' + '\\"' * 2_000_000 + "x",
        '"' + "\\" * 4_000_000,
        "'" * 4_000_000,
        " " * 4_000_000 + "x",
        "9" * 4_000_000,
        "0." + "9" * 4_000_000,
        "a" * 4_000_000,
        "x" + " " * 4_000_000 + "x",
    ],
    ids=lambda bomb: f"{bomb[:4]}...",
)
def test_bombs_are_refused_quickly(bomb: str) -> None:
    start_s = time.thread_time()
    with pytest.raises(PeerError):
        _read(bomb)
    assert time.thread_time() - start_s < QUICKLY_S


def test_nesting_is_bounded() -> None:
    limits = AdLimits(depth=3)
    assert _read("{{{}}}", limits) == [[[]]]
    with pytest.raises(MalformedMessage, match="nested too deeply"):
        _read("{{{{}}}}", limits)


def test_the_number_of_values_is_bounded_over_the_whole_ad() -> None:
    reader = AdReader(AdLimits(values=10))
    reader.line("A = { 1,2,3,4 }")
    reader.line("B = { 1,2,3,4 }")
    with pytest.raises(TooLarge):
        reader.line("C = 1")


def test_strings_after_an_ad_do_not_make_up_for_a_malformed_line() -> None:
    text = MessageWriter(encrypted=False).integer(2).string("A = 1").string("rubbish").string("B = 2").string("").body()
    with pytest.raises(MalformedMessage, match="does not have the form"):
        MessageReader(text, encrypted=False).handshake_ad()


@pytest.mark.parametrize("expression", ["{}", "[]", "{ 1 }", "x", "1+1"])
def test_a_handshake_ad_cannot_contain_lists_or_expressions(expression: str) -> None:
    text = MessageWriter(encrypted=False).integer(1).string(f"A = {expression}").string("").string("").body()
    with pytest.raises(MalformedMessage, match="numbers, strings, booleans and UNDEFINED are accepted"):
        MessageReader(text, encrypted=False).handshake_ad()


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, "A = undefined"),
        (True, "A = true"),
        (False, "A = false"),
        (5, "A = 5"),
        (-(2**63), "A = -9223372036854775808"),
        (1.0, "A = 1.0"),
        (0.1, "A = 0.1"),
        (1e20, "A = 1E+20"),
        (1 / 3, "A = 0.3333333333333333"),
        (float("nan"), "A = undefined"),
        (float("-inf"), "A = undefined"),
        ("", 'A = ""'),
        ('say "hi"', r'A = "say \"hi\""'),
        ("back\\slash\\", 'A = "back\\slash\\"'),
        ('"\n', 'A = "\\" \n"'),
        ("a\0b", 'A = "a\ufffdb"'),
    ],
)
def test_flat_values_are_written_as_htcondor_writes_them(value: Scalar, line: str) -> None:
    assert line_of("A", value) == line


def test_an_integer_beyond_64_bits_is_not_written() -> None:
    with pytest.raises(ValueError, match="64 bits"):
        line_of("A", 2**63)


_NAMES = st.text(string.ascii_letters + "_", min_size=1, max_size=8)
_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_REALS = st.floats(allow_nan=False, allow_infinity=False)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
_SCALARS = st.none() | st.booleans() | _INTEGERS | _REALS | _TEXTS.filter(lambda text: '"\n' not in text)


@given(st.dictionaries(_NAMES, _SCALARS, max_size=20), st.booleans())
def test_written_ads_are_read_back(ad: dict[str, Scalar], encrypted: bool) -> None:
    unique = {name.lower(): value for name, value in ad.items()}
    body = MessageWriter(encrypted=encrypted).ad(unique).body()
    reader = MessageReader(body, encrypted=encrypted)
    assert reader.ad() == unique
    reader.end()


@given(st.text(alphabet="{}[];,=\"\\' \nabtrue019.-eE+", max_size=60))
def test_any_text_is_a_value_or_is_refused(text: str) -> None:
    try:
        value = _read(text)
    except PeerError:
        return
    assert value is None or isinstance(value, bool | int | float | str | list | dict)
