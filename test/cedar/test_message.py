"""The encodings of the primitives, in hexadecimal."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annexd.cedar.errors import MalformedMessage, PeerError, TooLarge
from annexd.cedar.frame import MAX_PLAIN_BYTES, pieces
from annexd.cedar.message import MessageReader, MessageWriter


@pytest.mark.parametrize(
    ("value", "digits"),
    [
        (0, "0000000000000000"),
        (60010, "000000000000ea6a"),
        (-1, "ffffffffffffffff"),
        (2**63 - 1, "7fffffffffffffff"),
        (-(2**63), "8000000000000000"),
    ],
)
def test_integers_take_eight_bytes(value: int, digits: str) -> None:
    assert MessageWriter(encrypted=False).integer(value).body().hex() == digits
    assert MessageReader(bytes.fromhex(digits), encrypted=False).integer() == value


@pytest.mark.parametrize(
    ("value", "encrypted", "digits"),
    [
        ("", False, "00"),
        ("ab", False, "616200"),
        ("é", False, "c3a900"),
        ("", True, "000000000000000100"),
        ("ab", True, "0000000000000003616200"),
    ],
)
def test_strings_have_their_length_before_them_only_when_encrypted(value: str, encrypted: bool, digits: str) -> None:
    assert MessageWriter(encrypted=encrypted).string(value).body().hex() == digits
    reader = MessageReader(bytes.fromhex(digits), encrypted=encrypted)
    assert reader.nullable_string() == value
    reader.end()


@pytest.mark.parametrize(("encrypted", "digits"), [(False, "ad"), (True, "0000000000000001ad")])
def test_a_null_string_is_one_byte(encrypted: bool, digits: str) -> None:
    assert MessageWriter(encrypted=encrypted).nullable_string(None).body().hex() == digits
    reader = MessageReader(bytes.fromhex(digits), encrypted=encrypted)
    assert reader.nullable_string() is None
    reader.end()


@pytest.mark.parametrize(
    ("encrypted", "digits"),
    [
        (False, ""),
        (False, "6162"),
        (False, "ff00"),
        (False, "ad00"),
        (True, ""),
        (True, "0000000000000000"),
        (True, "0000000000000001"),
        (True, "ffffffffffffffff"),
        (True, "7fffffffffffffff"),
        (True, "0000000000989681"),
        (True, "00000000000000046162"),
        (True, "0000000000000003610062"),
        (True, "0000000000000003616263"),
        (True, "0000000000000003610000"),
    ],
)
def test_malformed_strings_are_refused(encrypted: bool, digits: str) -> None:
    with pytest.raises(MalformedMessage):
        MessageReader(bytes.fromhex(digits), encrypted=encrypted).string()


@pytest.mark.parametrize("body", [b"", b"1234567"])
def test_a_truncated_integer_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedMessage, match="too short"):
        MessageReader(body, encrypted=False).integer()


@pytest.mark.parametrize("length", [-1, 4, 2**62])
def test_more_bytes_than_there_are_cannot_be_read(length: int) -> None:
    with pytest.raises(MalformedMessage):
        MessageReader(b"abc", encrypted=False).raw(length)


def test_unread_bytes_are_an_error() -> None:
    reader = MessageReader(b"abc", encrypted=False)
    reader.raw(2)
    assert reader.remaining == 1
    with pytest.raises(MalformedMessage, match="1 bytes are left over"):
        reader.end()


@pytest.mark.parametrize("count", [1001, 2**31, 2**63 - 1])
def test_an_ad_that_announces_too_many_attributes_is_refused_before_they_are_read(count: int) -> None:
    with pytest.raises(TooLarge):
        MessageReader(MessageWriter(encrypted=True).integer(count).body(), encrypted=True).ad()


@pytest.mark.parametrize("encrypted", [True, False])
def test_a_private_attribute_after_its_marker_is_read_like_any_other(encrypted: bool) -> None:
    message = MessageWriter(encrypted=encrypted).integer(2).string("A = 1").string("ZKM").string('ClaimId = "x"')
    reader = MessageReader(message.string("").string("").body(), encrypted=encrypted)
    assert reader.ad() == {"A": 1, "ClaimId": "x"}
    reader.end()


def test_text_that_utf8_cannot_encode_is_replaced_and_a_nul_is_an_error() -> None:
    assert MessageWriter(encrypted=False).string("a\udc80").body() == b"a?\0"
    with pytest.raises(ValueError, match="NUL"):
        MessageWriter(encrypted=False).string("a\0")


@pytest.mark.parametrize("length", [0, 1, MAX_PLAIN_BYTES, MAX_PLAIN_BYTES + 1, 3 * MAX_PLAIN_BYTES])
def test_a_message_is_split_into_frames_and_the_last_is_flagged(length: int) -> None:
    cut = pieces(bytes(length))
    assert b"".join(piece for _, piece in cut) == bytes(length)
    assert [flag for flag, _ in cut] == [0] * (len(cut) - 1) + [1] * bool(length)
    assert all(0 < len(piece) <= MAX_PLAIN_BYTES for _, piece in cut)


@given(st.binary(max_size=200), st.booleans(), st.lists(st.sampled_from("isnar"), max_size=10))
def test_any_bytes_are_read_or_refused(body: bytes, encrypted: bool, steps: list[str]) -> None:
    reader = MessageReader(body, encrypted=encrypted)
    read: dict[str, Callable[[], object]] = {
        "i": reader.integer,
        "s": reader.string,
        "n": reader.nullable_string,
        "a": reader.ad,
        "r": partial(reader.raw, 3),
    }
    try:
        for step in steps:
            read[step]()
    except PeerError:
        return
    assert reader.remaining >= 0
